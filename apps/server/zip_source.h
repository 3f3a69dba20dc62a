// Files as one zip archive, made while it is read: nothing is compressed, so that its length is known beforehand.
// Format: PKWARE's APPNOTE 6.3, with the 64-bit fields where a number needs them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "http/message.h"

namespace timbre::server {

struct ZipPart {
  std::string name;  // UTF-8, with '/' between folders
  std::string path;  // of the file
  int64_t bytes = 0;
  uint32_t crc32 = 0;
};

class ZipSource final : public http::BodySource {
 public:
  explicit ZipSource(std::vector<ZipPart> parts);
  ~ZipSource() override;
  Result<size_t> Read(char* out, size_t most) override;
  int64_t length() const { return length_; }

 private:
  std::string Header(size_t i) const;
  std::string Directory() const;

  const std::vector<ZipPart> parts_;
  std::vector<int64_t> offsets_;  // of the parts' headers
  int64_t length_ = 0;
  size_t next_ = 0;      // part whose header comes next
  std::string pending_;  // headers, or the directory
  size_t sent_ = 0;      // of pending_
  int fd_ = -1;
  int64_t left_ = 0;  // of the file that is open
  bool directory_ = false;
};

// All of them as an answer that is kept under that name.
http::Response ZipAnswer(std::vector<ZipPart> parts, const std::string& name);

}  // namespace timbre::server
