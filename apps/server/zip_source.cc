#include "apps/server/zip_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "http/names.h"

namespace timbre::server {
namespace {

constexpr uint64_t kLargest32 = 0xFFFFFFFF;
constexpr uint16_t kUtf8Names = 0x0800;
// Of every member: midnight of 1 January 1980, as far back as the format goes. When a file was made is the journal's.
constexpr uint32_t kTime = 0x00210000;

void Put(std::string& text, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
}

uint64_t Small(uint64_t value) { return std::min(value, kLargest32); }

// What local and central headers have in common, from the version on.
void PutFacts(std::string& text, const ZipPart& part, size_t extra) {
  const auto bytes = static_cast<uint64_t>(part.bytes);
  Put(text, extra > 0 ? 45 : 20, 2);
  Put(text, kUtf8Names, 2);
  Put(text, 0, 2);  // stored
  Put(text, kTime, 4);
  Put(text, part.crc32, 4);
  Put(text, Small(bytes), 4);
  Put(text, Small(bytes), 4);
  Put(text, part.name.size(), 2);
  Put(text, extra, 2);
}

}  // namespace

ZipSource::ZipSource(std::vector<ZipPart> parts) : parts_(std::move(parts)) {
  for (size_t i = 0; i < parts_.size(); ++i) {
    offsets_.push_back(length_);
    length_ += static_cast<int64_t>(Header(i).size()) + parts_[i].bytes;
  }
  length_ += static_cast<int64_t>(Directory().size());
}

ZipSource::~ZipSource() {
  if (fd_ >= 0) close(fd_);
}

std::string ZipSource::Header(size_t i) const {
  const ZipPart& part = parts_[i];
  const auto bytes = static_cast<uint64_t>(part.bytes);
  std::string extra;
  if (bytes >= kLargest32) {
    Put(extra, 1, 2);
    Put(extra, 16, 2);
    Put(extra, bytes, 8);
    Put(extra, bytes, 8);
  }
  std::string text = "PK\3\4";
  PutFacts(text, part, extra.size());
  return text + part.name + extra;
}

std::string ZipSource::Directory() const {
  std::string text;
  int64_t begin = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const ZipPart& part = parts_[i];
    const auto bytes = static_cast<uint64_t>(part.bytes), offset = static_cast<uint64_t>(offsets_[i]);
    std::string extra;
    if (bytes >= kLargest32) {
      Put(extra, bytes, 8);
      Put(extra, bytes, 8);
    }
    if (offset >= kLargest32) Put(extra, offset, 8);
    if (!extra.empty()) {
      std::string head;
      Put(head, 1, 2);
      Put(head, extra.size(), 2);
      extra.insert(0, head);
    }
    text += "PK\1\2";
    Put(text, 3 << 8 | 45, 2);  // made by a Unix
    PutFacts(text, part, extra.size());
    Put(text, 0, 6);                        // comment, disk, attributes within
    Put(text, uint64_t{0100644} << 16, 4);  // a file, and its permissions
    Put(text, Small(offset), 4);
    text += part.name + extra;
    begin = offsets_[i] + static_cast<int64_t>(Header(i).size()) + part.bytes;
  }
  const uint64_t size = text.size(), count = parts_.size(), at = static_cast<uint64_t>(begin);
  if (at >= kLargest32 || size >= kLargest32) {
    text += "PK\6\6";
    Put(text, 44, 8);
    Put(text, 3 << 8 | 45, 2);
    Put(text, 45, 2);
    Put(text, 0, 8);
    Put(text, count, 8);
    Put(text, count, 8);
    Put(text, size, 8);
    Put(text, at, 8);
    text += "PK\6\7";
    Put(text, 0, 4);
    Put(text, at + size, 8);
    Put(text, 1, 4);
  }
  text += "PK\5\6";
  Put(text, 0, 4);
  Put(text, count, 2);
  Put(text, count, 2);
  Put(text, Small(size), 4);
  Put(text, Small(at), 4);
  Put(text, 0, 2);
  return text;
}

Result<size_t> ZipSource::Read(char* out, size_t most) {
  for (;;) {
    if (sent_ < pending_.size()) {
      const size_t count = std::min(most, pending_.size() - sent_);
      std::memcpy(out, pending_.data() + sent_, count);
      sent_ += count;
      return count;
    }
    if (left_ > 0) {
      const ssize_t n = read(fd_, out, std::min<size_t>(most, static_cast<size_t>(left_)));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return Fail(ErrorCode::kIo, "a file of an archive is shorter than it was, or can't be read.");
      left_ -= n;
      return static_cast<size_t>(n);
    }
    if (fd_ >= 0) close(std::exchange(fd_, -1));
    sent_ = 0;
    if (next_ == parts_.size()) {
      pending_ = directory_ ? "" : Directory();
      if (std::exchange(directory_, true)) return 0;
      continue;
    }
    const ZipPart& part = parts_[next_];
    fd_ = open(part.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) return Fail(ErrorCode::kIo, "a file of an archive is gone.");
    left_ = part.bytes;
    pending_ = Header(next_++);
  }
}

http::Response ZipAnswer(std::vector<ZipPart> parts, const std::string& name) {
  auto source = std::make_unique<ZipSource>(std::move(parts));
  http::Response response;
  response.length = source->length();
  response.source = std::move(source);
  response.headers.Set("Content-Type", "application/zip");
  response.headers.Set("Content-Disposition", http::Attachment(name));
  return response;
}

}  // namespace timbre::server
