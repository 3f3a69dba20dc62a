#include "formats/zip.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace timbre {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kDirectoryHeader = 0x02014b50;
constexpr uint32_t kDirectoryEnd = 0x06054b50;
constexpr uint32_t kDirectoryEnd64 = 0x06064b50;
constexpr uint32_t kDirectoryEnd64Locator = 0x07064b50;
constexpr size_t kLocalHeaderSize = 30;
constexpr size_t kDirectoryHeaderSize = 46;
constexpr size_t kDirectoryEndSize = 22;
constexpr uint64_t kMaxEntries = 100000;
constexpr size_t kMaxName = 1024;
constexpr uint64_t kMaxInflated = uint64_t{2} << 30;

tl::unexpected<Error> Corrupt(const std::string& what) {
  return Fail(ErrorCode::kCorrupt, "the zip archive is broken: " + what + "; get the file again.");
}

// Little-endian numbers; the caller has checked that they lie inside.
template <typename T>
T Load(const std::byte* p) {
  T value = 0;
  for (size_t i = sizeof(T); i-- > 0;)
    value = static_cast<T>(static_cast<uint64_t>(value) << 8 | std::to_integer<T>(p[i]));
  return value;
}

struct Directory {
  uint64_t offset = 0, size = 0, entries = 0;
};

Result<Directory> FindDirectory(const SharedBytes& bytes) {
  if (bytes.size() < kDirectoryEndSize) return Corrupt("it is too short");
  // The end record is last, but for a comment of up to 65535 bytes.
  const size_t last = bytes.size() - kDirectoryEndSize;
  const size_t first = last > 0xFFFF ? last - 0xFFFF : 0;
  for (size_t at = last + 1; at-- > first;) {
    const std::byte* end = bytes.data() + at;
    if (Load<uint32_t>(end) != kDirectoryEnd || at + kDirectoryEndSize + Load<uint16_t>(end + 20) != bytes.size())
      continue;
    Directory directory{Load<uint32_t>(end + 16), Load<uint32_t>(end + 12), Load<uint16_t>(end + 10)};
    const bool zip64 = directory.offset == 0xFFFFFFFF || directory.size == 0xFFFFFFFF || directory.entries == 0xFFFF;
    if (zip64 && at >= 20 && Load<uint32_t>(end - 20) == kDirectoryEnd64Locator) {
      const uint64_t at64 = Load<uint64_t>(end - 12);
      if (at64 > bytes.size() || bytes.size() - at64 < 56) return Corrupt("its directory lies outside");
      const std::byte* end64 = bytes.data() + at64;
      if (Load<uint32_t>(end64) != kDirectoryEnd64) return Corrupt("its directory has no end");
      directory = {Load<uint64_t>(end64 + 48), Load<uint64_t>(end64 + 40), Load<uint64_t>(end64 + 32)};
    } else if (Load<uint16_t>(end + 4) != 0 || Load<uint16_t>(end + 6) != 0) {
      return Fail(ErrorCode::kUnsupported, "the zip archive is one part of several; join them first.");
    }
    if (directory.offset > at || directory.size > at - directory.offset) return Corrupt("its directory lies outside");
    return directory;
  }
  return Corrupt("it has no directory, so its end is missing");
}

// Sizes and offset of 0xFFFFFFFF stand in the "zip64" extra field, those that need it only and in this order.
Status ReadZip64(std::span<const std::byte> extra, ZipEntry& entry) {
  while (extra.size() >= 4) {
    const uint16_t tag = Load<uint16_t>(extra.data());
    const uint16_t size = Load<uint16_t>(extra.data() + 2);
    extra = extra.subspan(4);
    if (size > extra.size()) return Corrupt("an extra field reaches too far");
    if (tag != 1) {
      extra = extra.subspan(size);
      continue;
    }
    std::span<const std::byte> field = extra.first(size);
    for (uint64_t* value : {&entry.size, &entry.compressed_size, &entry.header_offset}) {
      if (*value != 0xFFFFFFFF) continue;
      if (field.size() < 8) return Corrupt("a large member's size is missing");
      *value = Load<uint64_t>(field.data());
      field = field.subspan(8);
    }
    return {};
  }
  return {};
}

uint32_t Checksum(std::span<const std::byte> bytes) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace

bool ZipArchive::Looks(const SharedBytes& bytes) {
  return bytes.size() >= 4 && Load<uint32_t>(bytes.data()) == kLocalHeader;
}

Result<ZipArchive> ZipArchive::Open(SharedBytes bytes) {
  TIMBRE_TRY(const Directory directory, FindDirectory(bytes));
  if (directory.entries > kMaxEntries) {
    return Fail(ErrorCode::kUnsupported, "the zip archive has " + std::to_string(directory.entries) + " members, and " +
                                             std::to_string(kMaxEntries) + " are the most.");
  }
  ZipArchive archive;
  archive.inflate_budget_ = (uint64_t{64} << 20) + 32 * static_cast<uint64_t>(bytes.size());
  std::span<const std::byte> rest = bytes.span().subspan(directory.offset, directory.size);
  for (uint64_t i = 0; i < directory.entries; ++i) {
    if (rest.size() < kDirectoryHeaderSize || Load<uint32_t>(rest.data()) != kDirectoryHeader) {
      return Corrupt("its directory ends too early");
    }
    ZipEntry entry;
    entry.encrypted = (Load<uint16_t>(rest.data() + 8) & 1) != 0;
    entry.method = Load<uint16_t>(rest.data() + 10);
    entry.crc32 = Load<uint32_t>(rest.data() + 16);
    entry.compressed_size = Load<uint32_t>(rest.data() + 20);
    entry.size = Load<uint32_t>(rest.data() + 24);
    const size_t name_size = Load<uint16_t>(rest.data() + 28);
    const size_t extra_size = Load<uint16_t>(rest.data() + 30);
    const size_t comment_size = Load<uint16_t>(rest.data() + 32);
    entry.header_offset = Load<uint32_t>(rest.data() + 42);
    rest = rest.subspan(kDirectoryHeaderSize);
    if (name_size > kMaxName || rest.size() < name_size + extra_size + comment_size) {
      return Corrupt("a member's name does not fit");
    }
    entry.name.assign(reinterpret_cast<const char*>(rest.data()), name_size);
    if (!IsUtf8(entry.name)) return Corrupt("a member's name is not UTF-8");
    TIMBRE_CHECK(ReadZip64(rest.subspan(name_size, extra_size), entry));
    rest = rest.subspan(name_size + extra_size + comment_size);
    if (!archive.by_name_.emplace(entry.name, archive.entries_.size()).second) {
      return Corrupt("it holds '" + Printable(entry.name) + "' twice");
    }
    archive.entries_.push_back(std::move(entry));
  }
  archive.bytes_ = std::move(bytes);
  return archive;
}

const ZipEntry* ZipArchive::Find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

Result<SharedBytes> ZipArchive::Read(const ZipEntry& entry) {
  const std::string name = "'" + Printable(entry.name) + "'";
  if (entry.encrypted) {
    return Fail(ErrorCode::kUnsupported, "the archive's member " + name + " is encrypted; unpack it first.");
  }
  if (entry.header_offset > bytes_.size() || bytes_.size() - entry.header_offset < kLocalHeaderSize) {
    return Corrupt(name + " lies outside");
  }
  const std::byte* header = bytes_.data() + entry.header_offset;
  if (Load<uint32_t>(header) != kLocalHeader) return Corrupt(name + " is not where it should be");
  const uint64_t start =
      entry.header_offset + kLocalHeaderSize + Load<uint16_t>(header + 26) + Load<uint16_t>(header + 28);
  if (start > bytes_.size() || entry.compressed_size > bytes_.size() - start) return Corrupt(name + " lies outside");
  SharedBytes packed = bytes_.Slice(start, entry.compressed_size);
  SharedBytes member;
  if (entry.method == 0) {
    if (entry.size != entry.compressed_size) return Corrupt(name + " has two sizes");
    member = std::move(packed);
  } else if (entry.method == 8) {
    TIMBRE_TRY(member, Inflate(entry, packed));
  } else {
    return Fail(ErrorCode::kUnsupported, "the archive's member " + name +
                                             " is compressed by a method that is not read here (" +
                                             std::to_string(entry.method) + "); unpack it first.");
  }
  // PyTorch writes 0 where it was told not to compute checksums.
  if (entry.crc32 != 0 && Checksum(member.span()) != entry.crc32) return Corrupt(name + " does not match its checksum");
  return member;
}

Result<SharedBytes> ZipArchive::Inflate(const ZipEntry& entry, const SharedBytes& packed) {
  const std::string name = "'" + Printable(entry.name) + "'";
  if (entry.size > kMaxInflated || entry.size > inflate_budget_) {
    return Fail(ErrorCode::kUnsupported, "the archive's member " + name + " would unpack to " +
                                             std::to_string(entry.size >> 20) +
                                             " MiB, which is more than is allowed for a file of this size.");
  }
  inflate_budget_ -= entry.size;
  TIMBRE_TRY(AlignedBytes out, AlignedBytes::Allocate(entry.size));
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
    return Fail(ErrorCode::kOutOfMemory, "there is no memory to unpack " + name + ".");
  // zlib counts in 32 bits: both sides are fed in parts.
  constexpr size_t kPart = size_t{1} << 30;
  size_t in_at = 0, out_at = 0;
  int state = Z_OK;
  while (state == Z_OK) {
    const size_t in_part = std::min(kPart, packed.size() - in_at);
    const size_t out_part = std::min(kPart, out.size() - out_at);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data() + in_at));
    stream.avail_in = static_cast<uInt>(in_part);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + out_at);
    stream.avail_out = static_cast<uInt>(out_part);
    state = inflate(&stream, Z_NO_FLUSH);
    const size_t consumed = in_part - stream.avail_in, produced = out_part - stream.avail_out;
    in_at += consumed;
    out_at += produced;
    if (state == Z_OK && consumed == 0 && produced == 0) state = Z_BUF_ERROR;
  }
  inflateEnd(&stream);
  if (state != Z_STREAM_END || out_at != out.size()) return Corrupt(name + " does not unpack to its size");
  return SharedBytes::Own(std::move(out));
}

}  // namespace timbre
