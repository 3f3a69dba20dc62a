#include "engine/assets.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "audio/decode.h"
#include "base/atomic_file.h"
#include "base/file_faults.h"
#include "base/files.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/sha256.h"
#include "base/text.h"
#include "engine/crash_points.h"
#include "engine/ids.h"
#include "formats/safetensors.h"
#include "pipelines/frames/frame_reader.h"

namespace timbre::engine {
namespace fs = std::filesystem;

namespace {

constexpr std::pair<std::string_view, std::string_view> kMediaTypes[] = {
    {".wav", "audio/wav"},  {".flac", "audio/flac"},       {".mp3", "audio/mpeg"},
    {".ogg", "audio/ogg"},  {".opus", "audio/ogg"},        {".m4a", "audio/mp4"},
    {".mid", "audio/midi"}, {".json", "application/json"}, {".txt", "text/plain"},
    {".png", "image/png"},  {".mp4", "video/mp4"},         {".lrc", "text/plain"},
    {".csv", "text/csv"},   {".webm", "video/webm"},       {".safetensors", "application/x-safetensors"},
};

// Of the container, the last word of AudioInfo::format.
constexpr std::pair<std::string_view, std::string_view> kContainers[] = {
    {"wav", "audio/wav"}, {"flac", "audio/flac"}, {"mp3", "audio/mpeg"},      {"ogg", "audio/ogg"},
    {"mov", "audio/mp4"}, {"aiff", "audio/aiff"}, {"matroska", "video/webm"},
};

Result<uint32_t> Crc32OfFile(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) return tl::unexpected<Error>(NotDone(path, "read", errno).error());
  std::vector<unsigned char> buffer(size_t{1} << 20);
  uLong sum = crc32(0, nullptr, 0);
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    sum = crc32(sum, buffer.data(), static_cast<uInt>(n));
  }
  if (std::ferror(file.get()) != 0) return tl::unexpected<Error>(NotDone(path, "read", errno).error());
  return static_cast<uint32_t>(sum);
}

Status Sync(const std::string& path) {
  if (FileStepFails(FileStep::kSync, path)) return NotDone(path, "brought to the disk", errno);
  return SyncToDisk(path);
}

// By its first bytes; whoever plays it finds out about the rest.
bool IsMidi(const std::string& path) {
  std::array<char, 8> head = {};
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  return file && std::fread(head.data(), 1, head.size(), file.get()) == head.size() &&
         std::string_view(head.data(), head.size()) == std::string_view("MThd\0\0\0\6", 8);
}

void RemoveAllIn(const std::string& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) fs::remove_all(entry.path(), ignored);
}

}  // namespace

Result<AssetStore> AssetStore::Open(const std::string& folder) {
  AssetStore store(folder);
  for (const char* name : {"/assets", "/derived", "/jobs", "/uploads", "/tmp"})
    TIMBRE_CHECK(MakeFolders(folder + name));
  RemoveAllIn(folder + "/tmp");
  RemoveAllIn(folder + "/jobs");
  return store;
}

std::string AssetStore::PathOf(const std::string& id) const {
  return folder_ + "/assets/" + id.substr(0, 2) + "/" + id;
}
std::string AssetStore::TemporaryPath() const { return folder_ + "/tmp/" + NewId(); }
std::string AssetStore::JobFolder(const std::string& job) const { return folder_ + "/jobs/" + job + ".part"; }
std::string AssetStore::UploadPath(const std::string& upload) const { return folder_ + "/uploads/" + upload; }
std::string AssetStore::DerivedFolder() const { return folder_ + "/derived"; }
std::string AssetStore::PeaksFolder(const std::string& id) const { return DerivedFolder() + "/" + id + ".peaks"; }
std::string AssetStore::SamplesPath(const std::string& id) const { return DerivedFolder() + "/" + id + ".f32"; }

Result<AssetRecord> AssetStore::Take(const std::string& path, const std::string& name,
                                     const std::function<bool()>& cancelled) {
  AssetRecord asset{.bytes = FileBytes(path), .media_type = MediaTypeOf(name), .name = name, .created = Now()};
  TIMBRE_CHECK(Sync(path));
  TIMBRE_TRY(asset.id, Sha256OfFile(path, cancelled));
  TIMBRE_TRY(asset.crc32, Crc32OfFile(path));
  const std::string to = PathOf(asset.id);
  At("before-asset-rename");
  if (FileBytes(to) == asset.bytes) {
    unlink(path.c_str());
    return asset;
  }
  TIMBRE_CHECK(MakeFolders(FolderOf(to)));
  if (FileStepFails(FileStep::kRename, to) || std::rename(path.c_str(), to.c_str()) != 0) {
    return tl::unexpected<Error>(NotDone(to, "put in its place", errno).error());
  }
  (void)chmod(to.c_str(), 0440);  // nobody writes to it any more
  TIMBRE_CHECK(Sync(FolderOf(to)));
  At("after-asset-rename");
  return asset;
}

void AssetStore::Remove(const std::string& id) const {
  unlink(PathOf(id).c_str());
  RemoveDerived(id);
}

void AssetStore::RemoveDerived(const std::string& id) const {
  std::error_code ignored;
  fs::remove_all(PeaksFolder(id), ignored);
  fs::remove(SamplesPath(id), ignored);
}

void AssetStore::RemoveOthers(const std::vector<std::string>& known) const {
  std::vector<std::string> sorted = known;
  std::sort(sorted.begin(), sorted.end());
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(folder_ + "/assets", ignored)) {
    if (!entry.is_regular_file(ignored)) continue;
    if (std::binary_search(sorted.begin(), sorted.end(), entry.path().filename().string())) continue;
    fs::remove(entry.path(), ignored);
  }
  for (const auto& entry : fs::directory_iterator(DerivedFolder(), ignored)) {
    if (std::binary_search(sorted.begin(), sorted.end(), entry.path().stem().string())) continue;
    fs::remove_all(entry.path(), ignored);
  }
  for (const std::string& id : known) {
    if (FileBytes(PathOf(id)) < 0) Log(LogLevel::kWarning, "the file of asset " + id + " is missing");
  }
}

int64_t AssetStore::FreeBytes() const {
  struct statvfs info = {};
  if (statvfs(folder_.c_str(), &info) != 0) return 0;
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

std::string MediaTypeOf(std::string_view name) {
  const std::string lower = LowerCase(name);
  for (const auto& [ending, type] : kMediaTypes) {
    if (lower.ends_with(ending)) return std::string(type);
  }
  return "application/octet-stream";
}

Result<Json> FactsOf(const std::string& path, std::string& media_type) {
  if (media_type == MediaTypeOf(".safetensors")) {
    TIMBRE_TRY(const Safetensors file, ReadSafetensors(path));
    return Json{{"format", "safetensors"}, {"tensors", file.tensors->size()}, {"seconds", nullptr}};
  }
  if (IsMidi(path)) {
    media_type = "audio/midi";
    return Json{{"format", "MIDI"}, {"seconds", nullptr}};
  }
  const Result<std::unique_ptr<AudioReader>> reader = AudioReader::Open(path);
  if (!reader) {
    // Pictures and silent videos, which 'frames encode' takes. Of these a browser is shown PNGs alone.
    const Result<std::string> format = FrameReader::FormatOf(path);
    if (!format) return tl::unexpected<Error>(reader.error());
    if (*format == "png_pipe") {
      media_type = MediaTypeOf(".png");
    } else if (!media_type.starts_with("video/")) {
      media_type = MediaTypeOf("");
    }
    return Json{{"format", *format}, {"seconds", nullptr}};
  }
  const AudioInfo& info = (*reader)->info();
  const std::string container = info.format.substr(info.format.rfind(' ') + 1);
  for (const auto& [name, type] : kContainers) {
    if (container.starts_with(name)) media_type = type;
  }
  Json facts = {{"format", info.format}, {"sample_rate", info.sample_rate}, {"channels", info.channels}};
  if (info.expected_frames > 0 && info.sample_rate > 0) {
    facts["seconds"] = static_cast<double>(info.expected_frames) / info.sample_rate;
  } else {
    facts["seconds"] = nullptr;
  }
  return facts;
}

}  // namespace timbre::engine
