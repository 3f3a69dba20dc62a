// One list of what a running process remembers, for measuring, saving and restoring it. Nothing here allocates.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace timbre {

// Objects pass their state through, in a fixed order; the stream copies it out or in. Restored values come from
// outside: numbers that are not finite and integers out of bounds make ok() false, and the objects must then be reset.
class StateStream {
 public:
  static StateStream Measure() { return StateStream(Mode::kMeasure, {}, {}); }
  static StateStream Save(std::span<std::byte> to) { return StateStream(Mode::kSave, to, {}); }
  static StateStream Restore(std::span<const std::byte> from) { return StateStream(Mode::kRestore, {}, from); }

  void Floats(std::span<float> values) {
    Bytes(values.data(), values.size_bytes());
    if (mode_ != Mode::kRestore || !ok_) return;
    for (const float v : values) {
      if (!std::isfinite(v)) ok_ = false;
    }
  }

  void Integer(int64_t* value, int64_t lo, int64_t hi) {
    int64_t copy = *value;
    Bytes(&copy, sizeof(copy));
    if (copy < lo || copy > hi) ok_ = false;
    if (ok_) *value = copy;
  }

  void Bytes(std::span<std::byte> bytes) { Bytes(bytes.data(), bytes.size()); }

  // What must hold between restored values.
  void Require(bool holds) {
    if (restoring() && !holds) ok_ = false;
  }

  bool restoring() const { return mode_ == Mode::kRestore; }
  bool ok() const { return ok_; }
  size_t size() const { return size_; }

 private:
  enum class Mode { kMeasure, kSave, kRestore };
  StateStream(Mode mode, std::span<std::byte> to, std::span<const std::byte> from)
      : mode_(mode), to_(to), from_(from) {}

  void Bytes(void* data, size_t bytes) {
    const size_t room = mode_ == Mode::kSave ? to_.size() : from_.size();
    if (mode_ != Mode::kMeasure && bytes > room - size_) {
      ok_ = false;
      return;
    }
    if (bytes > 0 && mode_ == Mode::kSave) std::memcpy(to_.data() + size_, data, bytes);
    if (bytes > 0 && mode_ == Mode::kRestore) std::memcpy(data, from_.data() + size_, bytes);
    size_ += bytes;
  }

  Mode mode_;
  std::span<std::byte> to_;
  std::span<const std::byte> from_;
  size_t size_ = 0;
  bool ok_ = true;
};

}  // namespace timbre
