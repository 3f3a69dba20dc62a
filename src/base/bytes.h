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
  SharedBytes(std::shared_ptr<const std::byte> data, size_t size) : data_(std::move(data)), size_(size) {}
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
    return {std::shared_ptr<const std::byte>(data_, data_.get() + offset), size};
  }
  const std::shared_ptr<const std::byte>& shared() const { return data_; }

 private:
  std::shared_ptr<const std::byte> data_;
  size_t size_ = 0;
};

}  // namespace timbre
