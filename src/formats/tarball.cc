#include "formats/tarball.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <memory>
#include <utility>

#include "base/aligned.h"
#include "base/files.h"
#include "base/shared_library.h"
#include "base/text.h"

namespace timbre {
namespace {

// libarchive, opened for the first archive.
#define TIMBRE_ARCHIVE(X)             \
  X(archive_entry_filetype)           \
  X(archive_entry_pathname)           \
  X(archive_entry_size)               \
  X(archive_error_string)             \
  X(archive_read_data)                \
  X(archive_read_free)                \
  X(archive_read_new)                 \
  X(archive_read_next_header)         \
  X(archive_read_open_filename)       \
  X(archive_read_support_filter_gzip) \
  X(archive_read_support_format_tar)

TIMBRE_ARCHIVE(TIMBRE_DEFINE_FUNCTION)

Status LoadArchive() {
  static constexpr LibraryFunction kFunctions[] = {TIMBRE_ARCHIVE(TIMBRE_FIND_FUNCTION)};
  static const Status loaded = OpenLibrary({"libarchive.so.13", "libarchive13", "archives are read by"}, kFunctions);
  return loaded;
}

constexpr size_t kMostFiles = 1000, kMostHeaders = 10'000, kMostName = 1000;

struct Freed {
  void operator()(archive* a) const { archive_read_free(a); }
};

tl::unexpected<Error> Corrupt(archive* a) {
  const char* reason = archive_error_string(a);
  return Fail(ErrorCode::kCorrupt,
              "the archive is damaged: " + Printable(reason == nullptr ? "" : reason) + "; get the file again.");
}

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Result<SharedBytes> ReadMember(archive* a, size_t size) {
  TIMBRE_TRY(AlignedBytes bytes, AlignedBytes::Allocate(size));
  for (size_t at = 0; at < size;) {
    const la_ssize_t got = archive_read_data(a, bytes.data() + at, size - at);
    if (got < 0) return Corrupt(a);
    if (got == 0) return Fail(ErrorCode::kCorrupt, "the archive is damaged: it ends too early; get the file again.");
    at += static_cast<size_t>(got);
  }
  return SharedBytes::Own(std::move(bytes));
}

}  // namespace

bool LooksLikeTarball(const std::string& path) {
  constexpr size_t kMark = 257;  // where a tar archive says that it is one
  char head[kMark + 5] = {};
  std::ifstream file(path, std::ios::binary);
  file.read(head, sizeof(head));
  const auto got = static_cast<size_t>(file.gcount());
  if (got >= 2 && head[0] == '\x1f' && head[1] == '\x8b') return true;
  return got == sizeof(head) && std::memcmp(head + kMark, "ustar", 5) == 0;
}

Result<std::map<std::string, SharedBytes>> ReadTarball(const std::string& path) {
  TIMBRE_CHECK(LoadArchive());
  const std::unique_ptr<archive, Freed> reader(archive_read_new());
  archive* a = reader.get();
  if (a == nullptr) return Fail(ErrorCode::kOutOfMemory, "there is no memory for reading an archive.");
  if (archive_read_support_filter_gzip(a) != ARCHIVE_OK || archive_read_support_format_tar(a) != ARCHIVE_OK) {
    return Fail(ErrorCode::kInternal, "libarchive reads no tar.gz here.");
  }
  constexpr size_t kBlock = 1 << 16;
  if (archive_read_open_filename(a, path.c_str(), kBlock) != ARCHIVE_OK) return Corrupt(a);
  uint64_t budget = (uint64_t{64} << 20) + 32 * static_cast<uint64_t>(std::max<int64_t>(0, FileBytes(path)));
  std::map<std::string, SharedBytes> files;
  archive_entry* entry = nullptr;
  for (size_t headers = 0;; ++headers) {
    const int status = archive_read_next_header(a, &entry);
    if (status == ARCHIVE_EOF) break;
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return Corrupt(a);
    if (headers >= kMostHeaders) return Fail(ErrorCode::kUnsupported, "the archive has too many members.");
    const char* stored = archive_entry_pathname(entry);
    std::string name = stored == nullptr ? "" : stored;
    if (name.empty() || archive_entry_filetype(entry) != AE_IFREG || BaseName(name).starts_with("._")) continue;
    const auto size = static_cast<uint64_t>(std::max<la_int64_t>(0, archive_entry_size(entry)));
    if (size > budget || files.size() >= kMostFiles || name.size() > kMostName) {
      return Fail(ErrorCode::kUnsupported,
                  "the archive holds more, or larger files, than a model's does; unpack it and name what is in it.");
    }
    budget -= size;
    TIMBRE_TRY(SharedBytes bytes, ReadMember(a, size));
    files.insert_or_assign(std::move(name), std::move(bytes));
  }
  return files;
}

}  // namespace timbre
