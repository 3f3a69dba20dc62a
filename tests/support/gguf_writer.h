// Makes GGUF files for tests, well-formed or not.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace timbre::testing {

class GgufWriter {
 public:
  explicit GgufWriter(uint32_t version = 3) : version_(version) {}

  GgufWriter& Text(std::string_view key, std::string_view value) {
    Key(key, 8);
    AddText(keys_, value);
    return *this;
  }
  GgufWriter& U32(std::string_view key, uint32_t value) { return Raw(key, 4, Bytes(value)); }
  GgufWriter& F32(std::string_view key, float value) { return Raw(key, 6, Bytes(value)); }
  GgufWriter& Bool(std::string_view key, bool value) { return Raw(key, 7, std::string(1, value ? 1 : 0)); }
  GgufWriter& Texts(std::string_view key, const std::vector<std::string>& values) {
    std::string list = Bytes(uint32_t{8}) + Bytes(static_cast<uint64_t>(values.size()));
    for (const std::string& value : values) AddText(list, value);
    return Raw(key, 9, list);
  }
  GgufWriter& I32s(std::string_view key, const std::vector<int32_t>& values) {
    std::string list = Bytes(uint32_t{5}) + Bytes(static_cast<uint64_t>(values.size()));
    for (const int32_t value : values) list += Bytes(value);
    return Raw(key, 9, list);
  }
  // A value of any type, in its bytes.
  GgufWriter& Raw(std::string_view key, uint32_t type, const std::string& bytes) {
    Key(key, type);
    keys_ += bytes;
    return *this;
  }
  // dims: fastest first, as in the file.
  GgufWriter& Tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type, const std::string& data) {
    data_.resize((data_.size() + 31) / 32 * 32, '\0');
    AddText(tensors_, name);
    tensors_ += Bytes(static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) tensors_ += Bytes(dim);
    tensors_ += Bytes(type) + Bytes(static_cast<uint64_t>(data_.size()));
    data_ += data;
    ++tensor_count_;
    return *this;
  }

  std::string Build() const {
    std::string file = "GGUF" + Bytes(version_) + Bytes(tensor_count_) + Bytes(key_count_) + keys_ + tensors_;
    file.resize((file.size() + 31) / 32 * 32, '\0');
    return file + data_;
  }

  template <typename T>
  static std::string Bytes(T value) {
    std::string bytes(sizeof(T), '\0');
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
  }
  static std::string Floats(const std::vector<float>& values) {
    std::string bytes;
    for (const float value : values) bytes += Bytes(value);
    return bytes;
  }

 private:
  static void AddText(std::string& to, std::string_view text) {
    to += Bytes(static_cast<uint64_t>(text.size()));
    to += text;
  }
  void Key(std::string_view key, uint32_t type) {
    AddText(keys_, key);
    keys_ += Bytes(type);
    ++key_count_;
  }

  uint32_t version_;
  uint64_t key_count_ = 0, tensor_count_ = 0;
  std::string keys_, tensors_, data_;
};

}  // namespace timbre::testing
