// timbre frames: latents of HunyuanVideo's autoencoder into a clip, and pictures into latents.
#include "apps/cli/job_command.h"

namespace timbre::cli {

std::unique_ptr<Command> MakeFramesCommand() {
  return MakeJobCommand(
      "frames",
      "The released weights are under the Tencent Hunyuan Community License, which does not hold in the EU, the UK "
      "and\n"
      "South Korea; nothing is fetched without --accept-licence. A folder that is here is read as it is.\n"
      "Examples:\n"
      "  timbre frames decode latents.safetensors -m HunyuanVideo/vae -o clip.mp4\n"
      "  timbre frames decode first.safetensors second.safetensors --append 33 -o 'frame_%05d.png'\n"
      "  timbre frames decode all.safetensors --window 9 --mode framewise -o clip.mp4\n"
      "  timbre frames decode latents.safetensors --preview -o preview.mp4\n"
      "  timbre frames encode start.png -o latents.safetensors\n");
}

}  // namespace timbre::cli
