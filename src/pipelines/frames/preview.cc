#include "pipelines/frames/preview.h"

#include <algorithm>

#include "models/frames/hunyuan_vae.h"

namespace timbre {
namespace {

// The linear map from latents of HunyuanVideo to colours in [0, 1] that ComfyUI and FramePack show previews by.
constexpr float kFactors[kPreviewChannels][3] = {
    {-0.0395f, -0.0331f, 0.0445f},  {0.0696f, 0.0795f, 0.0518f},    {0.0135f, -0.0945f, -0.0282f},
    {0.0108f, -0.0250f, -0.0765f},  {-0.0209f, 0.0032f, 0.0224f},   {-0.0804f, -0.0254f, -0.0639f},
    {-0.0991f, 0.0271f, -0.0669f},  {-0.0646f, -0.0422f, -0.0400f}, {-0.0696f, -0.0595f, -0.0894f},
    {-0.0799f, -0.0208f, -0.0375f}, {0.1166f, 0.1627f, 0.0962f},    {0.1165f, 0.0432f, 0.0407f},
    {-0.2315f, -0.1920f, -0.1355f}, {-0.0270f, 0.0401f, -0.0821f},  {-0.0616f, -0.0997f, -0.0727f},
    {0.0249f, -0.0469f, -0.1703f}};
constexpr float kOffsets[3] = {0.0259f, -0.0192f, -0.0761f};

}  // namespace

Volume PreviewOf(const Volume& latents, int64_t begin, int64_t end) {
  const int64_t first = begin == 0 ? 1 : kFrameSteps;
  Volume frames(first + (end - begin - 1) * kFrameSteps, latents.height * kFrameScale, latents.width * kFrameScale, 3);
  int64_t at = 0;
  for (int64_t t = begin; t < end; ++t) {
    const int64_t copies = t == 0 ? 1 : kFrameSteps;
    for (int64_t y = 0; y < frames.height; ++y) {
      float* to = frames.at(at, y, 0);
      for (int64_t x = 0; x < frames.width; ++x, to += 3) {
        const float* latent = latents.at(t, y / kFrameScale, x / kFrameScale);
        for (int k = 0; k < 3; ++k) {
          float colour = kOffsets[k];
          for (int64_t c = 0; c < kPreviewChannels; ++c) colour += kFactors[c][k] * latent[c];
          to[k] = 2 * std::clamp(colour, 0.0f, 1.0f) - 1;
        }
      }
    }
    for (int64_t i = 1; i < copies; ++i) std::copy_n(frames.at(at, 0, 0), frames.picture(), frames.at(at + i, 0, 0));
    at += copies;
  }
  return frames;
}

}  // namespace timbre
