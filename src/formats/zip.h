// Zip archives in memory, through their central directory. Members that are stored uncompressed are given as views, so
// that the weights of a checkpoint stay in the mapped file. (libarchive reads a zip front to back and copies; views are
// why this reader is our own.) Format: PKWARE's APPNOTE 6.3.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace timbre {

struct ZipEntry {
  std::string name;  // valid UTF-8
  uint64_t size = 0;
  uint64_t compressed_size = 0;
  uint64_t header_offset = 0;
  uint32_t crc32 = 0;
  uint16_t method = 0;
  bool encrypted = false;
};

class ZipArchive {
 public:
  // Whether the bytes begin as a zip archive does.
  static bool Looks(const SharedBytes& bytes);
  // Reads the directory. Names that occur twice are an error, as are archives in several parts.
  static Result<ZipArchive> Open(SharedBytes bytes);

  const std::vector<ZipEntry>& entries() const { return entries_; }  // in the directory's order
  const ZipEntry* Find(const std::string& name) const;

  // The member's bytes, checked against its checksum unless that is 0: a view where it is stored, else inflated. All
  // members that one archive inflates may take 64 MiB and 32 times its size together, so that a small file can't fill
  // the memory.
  Result<SharedBytes> Read(const ZipEntry& entry);

 private:
  Result<SharedBytes> Inflate(const ZipEntry& entry, const SharedBytes& packed);
  SharedBytes bytes_;
  std::vector<ZipEntry> entries_;
  std::map<std::string, size_t, std::less<>> by_name_;
  uint64_t inflate_budget_ = 0;
};

}  // namespace timbre
