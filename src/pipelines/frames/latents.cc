#include "pipelines/frames/latents.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/text.h"

namespace timbre {
namespace {

constexpr int64_t kMostFrames = 1 << 16, kMostSide = 1 << 10, kMostValues = int64_t{1} << 29;
constexpr float kLeastLogVariance = -30, kMostLogVariance = 20;
constexpr const char* kName = "latents";

}  // namespace

Result<Volume> ReadLatents(const std::string& path, int64_t channels) {
  TIMBRE_TRY(const Safetensors file, ReadSafetensors(path));
  return LatentsIn(file, path, channels);
}

Result<Volume> LatentsIn(const Safetensors& file, const std::string& path, int64_t channels) {
  auto found = file.tensors->find(kName);
  if (found == file.tensors->end() && file.tensors->size() == 1) found = file.tensors->begin();
  if (found == file.tensors->end()) {
    return Fail(ErrorCode::kNotFound, Printable(path) + ": it holds " + std::to_string(file.tensors->size()) +
                                          " tensors, none of them 'latents'");
  }
  const std::string name = Printable(path) + ": '" + Printable(found->first) + "'";
  const Shape& stored = found->second.shape;
  const int batch = stored.rank() - 4;
  if (batch < 0 || batch > 1 || stored[-4] != channels || (batch == 1 && stored[0] != 1)) {
    return Fail(ErrorCode::kInvalidArgument, name + " has shape " + stored.ToString() + " where the decoder wants [" +
                                                 std::to_string(channels) + ", frames, height, width]");
  }
  const int64_t frames = stored[-3], height = stored[-2], width = stored[-1];
  if (frames < 1 || height < 1 || width < 1) {
    return Fail(ErrorCode::kInvalidArgument, name + " has shape " + stored.ToString() + ", which holds nothing");
  }
  if (frames > kMostFrames || height > kMostSide || width > kMostSide || stored.elements() > kMostValues) {
    return Fail(ErrorCode::kUnsupported, name + " has shape " + stored.ToString() +
                                             ", which is larger than any clip: at most " + std::to_string(kMostFrames) +
                                             " latents with sides of at most " + std::to_string(kMostSide) + ", and " +
                                             std::to_string(kMostValues) + " values, can be decoded");
  }
  const std::vector<float> values = found->second.ToF32();
  Volume latents(frames, height, width, channels);
  const int64_t places = frames * height * width;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t p = 0; p < places; ++p) {
      const float value = values[static_cast<size_t>(c * places + p)];
      if (!std::isfinite(value)) {
        return Fail(ErrorCode::kCorrupt, name + " holds something that is not a number in channel " +
                                             std::to_string(c) + " of latent " + std::to_string(p / (height * width)));
      }
      latents.values[static_cast<size_t>(p * channels + c)] = value;
    }
  }
  return latents;
}

Volume LatentsOf(const Volume& moments, std::span<const float> noise, double scale) {
  const int64_t channels = moments.channels / 2, places = moments.frames * moments.height * moments.width;
  Volume latents(moments.frames, moments.height, moments.width, channels);
  for (int64_t p = 0; p < places; ++p) {
    const float* from = moments.values.data() + p * 2 * channels;
    for (int64_t c = 0; c < channels; ++c) {
      double value = from[c];
      if (!noise.empty()) {
        const double spread = std::clamp(from[channels + c], kLeastLogVariance, kMostLogVariance);
        value += std::exp(0.5 * spread) * noise[static_cast<size_t>(c * places + p)];
      }
      latents.values[static_cast<size_t>(p * channels + c)] = static_cast<float>(value * scale);
    }
  }
  return latents;
}

Status WriteLatents(const std::string& path, const Volume& latents, OutputSet& outputs) {
  std::vector<float> values(latents.values.size());
  const int64_t places = latents.frames * latents.height * latents.width;
  for (int64_t p = 0; p < places; ++p) {
    for (int64_t c = 0; c < latents.channels; ++c) {
      values[static_cast<size_t>(c * places + p)] = latents.values[static_cast<size_t>(p * latents.channels + c)];
    }
  }
  TensorMap tensors;
  tensors.emplace(kName,
                  HostTensor::FromF32({1, latents.channels, latents.frames, latents.height, latents.width}, values));
  return WriteSafetensors(path, tensors, {}, &outputs);
}

}  // namespace timbre
