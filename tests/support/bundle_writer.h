// Makes TensorFlow's checkpoints for tests, well-formed or not.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/crc32c.h"

namespace timbre::testing {

class BundleWriter {
 public:
  // Names in ascending order, as in real ones. type: as DataType numbers them.
  BundleWriter& Tensor(const std::string& name, uint64_t type, const std::vector<uint64_t>& dims,
                       const std::string& bytes) {
    std::string shape;
    for (const uint64_t dim : dims) shape += Message(2, Number(1, dim));
    entries_.emplace_back(name, Number(1, type) + Message(2, shape) + Number(4, data_.size()) +
                                    Number(5, bytes.size()) + "\x35" + Fixed(Masked(bytes)));
    data_ += bytes;
    return *this;
  }
  BundleWriter& Shards(uint64_t shards) {
    shards_ = shards;
    return *this;
  }
  BundleWriter& BigEndian() {
    endianness_ = 1;
    return *this;
  }
  BundleWriter& Compressed() {
    compression_ = 1;
    return *this;
  }

  std::string Index() const {
    std::string file;
    std::vector<std::pair<std::string, std::string>> entries = {
        {"", Number(1, shards_) + (endianness_ != 0 ? Number(2, endianness_) : "")}};
    entries.insert(entries.end(), entries_.begin(), entries_.end());
    const std::string data = AddBlock(file, entries);
    const std::string meta = AddBlock(file, {});
    const std::string index = AddBlock(file, {{"~", data}});
    std::string footer = meta + index;
    footer.resize(40, '\0');
    return file + footer + std::string("\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8);
  }
  const std::string& Data() const { return data_; }

  static std::string Floats(const std::vector<float>& values) {
    std::string bytes(4 * values.size(), '\0');
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }

 private:
  static std::string Varint(uint64_t value) {
    std::string bytes;
    for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
    return bytes + static_cast<char>(value);
  }
  static std::string Fixed(uint32_t value) {
    std::string bytes(4, '\0');
    std::memcpy(bytes.data(), &value, 4);
    return bytes;
  }
  static std::string Number(uint64_t field, uint64_t value) { return Varint(field << 3) + Varint(value); }
  static std::string Message(uint64_t field, const std::string& bytes) {
    return Varint(field << 3 | 2) + Varint(bytes.size()) + bytes;
  }
  static uint32_t Masked(const std::string& bytes) {
    const uint32_t crc = Crc32c(bytes);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
  }
  // Appends a block; its handle.
  std::string AddBlock(std::string& file, const std::vector<std::pair<std::string, std::string>>& entries) const {
    std::string block, before;
    for (const auto& [key, value] : entries) {
      size_t shared = 0;
      while (shared < std::min(key.size(), before.size()) && key[shared] == before[shared]) ++shared;
      block += Varint(shared) + Varint(key.size() - shared) + Varint(value.size()) + key.substr(shared) + value;
      before = key;
    }
    block += Fixed(0) + Fixed(1);
    const std::string handle = Varint(file.size()) + Varint(block.size());
    block += static_cast<char>(compression_);
    file += block + Fixed(Masked(block));
    return handle;
  }

  uint64_t shards_ = 1, endianness_ = 0;
  int compression_ = 0;
  std::vector<std::pair<std::string, std::string>> entries_;
  std::string data_;
};

}  // namespace timbre::testing
