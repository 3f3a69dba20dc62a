// A run of bytes together with whatever keeps it alive: a mapped file, an inflated archive member, a string.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/aligned.h"

namespace timbre {

class SharedBytes {
 public:
  SharedBytes() = default;
  SharedBytes(std::shared_ptr<const std::byte> data, size_t size, bool mapped = false)
      : data_(std::move(data)), size_(size), mapped_(mapped) {}
  static SharedBytes Own(std::string bytes) {
    auto owner = std::make_shared<const std::string>(std::move(bytes));
    const auto* data = reinterpret_cast<const std::byte*>(owner->data());
    const size_t size = owner->size();
    return {std::shared_ptr<const std::byte>(std::move(owner), data), size};
  }

  static SharedBytes Own(AlignedBytes bytes) {
    auto owner = std::make_shared<const AlignedBytes>(std::move(bytes));
    const std::byte* data = owner->data();
    const size_t size = owner->size();
    return {std::shared_ptr<const std::byte>(std::move(owner), data), size};
  }

  const std::byte* data() const { return data_.get(); }
  size_t size() const { return size_; }
  std::span<const std::byte> span() const { return {data_.get(), size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_.get()), size_}; }

  // Bytes [offset, offset + size), which must lie inside; they keep the whole alive.
  SharedBytes Slice(size_t offset, size_t size) const {
    return {std::shared_ptr<const std::byte>(data_, data_.get() + offset), size, mapped_};
  }
  const std::shared_ptr<const std::byte>& shared() const { return data_; }
  bool mapped() const { return mapped_; }  // they lie in a mapped file: DropMappedPages may be called

 private:
  std::shared_ptr<const std::byte> data_;
  size_t size_ = 0;
  bool mapped_ = false;
};

}  // namespace timbre
