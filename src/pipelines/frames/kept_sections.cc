#include "pipelines/frames/kept_sections.h"

#include <fmt/format.h>

#include <filesystem>
#include <span>

#include "formats/safetensors.h"
#include "runtime/weights/store.h"

namespace timbre {
namespace {

constexpr const char* kKey = "timbre.section";

std::string HashOf(std::span<const std::byte> bytes) {
  const ContentId id = IdOf(bytes);
  return fmt::format("{}-{:016x}{:016x}", id.bytes, id.hash[0], id.hash[1]);
}

std::span<const std::byte> BytesOf(const std::vector<float>& values) { return std::as_bytes(std::span(values)); }

}  // namespace

std::string DecoderName(const FramesModel& model) {
  std::string all = ToJson(model.config);
  for (const auto& [name, weight] : *model.weights) all += " " + name + " " + HashOf(BytesOf(weight.ToF32()));
  return HashOf(std::as_bytes(std::span(all)));
}

std::string KeptSections::PathOf(int64_t index) const { return fmt::format("{}.section-{}", output_, index); }

std::string KeptSections::NameOf(const Volume& latents) const {
  return fmt::format("{} {}x{}x{} {}", work_, latents.frames, latents.height, latents.width,
                     HashOf(BytesOf(latents.values)));
}

std::optional<Volume> KeptSections::Find(int64_t index, const Volume& latents, const Shape& wanted) {
  std::error_code error;
  const std::string path = PathOf(index);
  if (!std::filesystem::is_regular_file(path, error)) return {};
  const auto file = ReadSafetensors(path);
  if (!file) return {};
  const auto name = file->metadata.find(kKey);
  const auto frames = file->tensors->find("frames");
  if (name == file->metadata.end() || name->second != NameOf(latents) || frames == file->tensors->end()) return {};
  if (frames->second.shape != wanted) return {};
  Volume found(wanted[0], wanted[1], wanted[2], wanted[3]);
  found.values = frames->second.ToF32();
  paths_.push_back(path);
  return found;
}

Status KeptSections::Keep(int64_t index, const Volume& latents, const Volume& frames) {
  TensorMap tensors;
  tensors.emplace("frames",
                  HostTensor::FromF32({frames.frames, frames.height, frames.width, frames.channels}, frames.values));
  TIMBRE_CHECK(WriteSafetensors(PathOf(index), tensors, {{kKey, NameOf(latents)}}));
  paths_.push_back(PathOf(index));
  return {};
}

void KeptSections::Remove() {
  std::error_code error;
  for (const std::string& path : paths_) std::filesystem::remove(path, error);
  paths_.clear();
}

}  // namespace timbre
