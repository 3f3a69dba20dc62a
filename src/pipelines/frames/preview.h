// A clip at a glance, without a network: each latent's place as one colour.
#pragma once

#include "pipelines/frames/volume.h"

namespace timbre {

inline constexpr int64_t kPreviewChannels = 16;

// Latents of HunyuanVideo, 16 channels, as frames in [-1, 1]: as many as the decoder makes of them and as large, every
// colour over eight by eight pixels and, but for the first latent's, four frames. Latents [begin, end) of the clip's.
Volume PreviewOf(const Volume& latents, int64_t begin, int64_t end);

}  // namespace timbre
