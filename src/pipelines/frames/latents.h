// Latents as files hold them: a tensor "latents" [channels, frames, height, width], with or without a batch of one.
#pragma once

#include <span>
#include <string>

#include "base/output_set.h"
#include "formats/safetensors.h"
#include "pipelines/frames/volume.h"

namespace timbre {

// The file's tensor "latents", or its only one. Errors, which name the path: no such tensor, another number of
// channels, sizes that no clip has, and values that are not numbers.
Result<Volume> ReadLatents(const std::string& path, int64_t channels);
// The same of a file that was read; `path` is for messages.
Result<Volume> LatentsIn(const Safetensors& file, const std::string& path, int64_t channels);

// What an encoder's moments (means, then logarithms of variances) stand for: the means, or with `noise` [channels,
// frames, height, width] what it draws around them; times `scale`, as files hold latents.
Volume LatentsOf(const Volume& moments, std::span<const float> noise, double scale);

// With the batch, as they are passed on in Python.
Status WriteLatents(const std::string& path, const Volume& latents, OutputSet& outputs);

}  // namespace timbre
