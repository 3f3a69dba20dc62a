// A queue of samples of a few channels, of a fixed capacity.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/state_stream.h"

namespace timbre {

// Not thread-safe. Allocates when it is made, never later.
class SampleRing {
 public:
  SampleRing(int channels, int64_t capacity)
      : channels_(channels), capacity_(capacity), samples_(static_cast<size_t>(channels * capacity)) {}

  int64_t size() const { return size_; }
  int64_t capacity() const { return capacity_; }

  void Clear() { first_ = size_ = 0; }

  // Appends `count` samples of each channel, zeros where `in` is null. There must be room for them.
  void Push(const float* const* in, int64_t count) {
    for (int c = 0; c < channels_; ++c) {
      float* ring = samples_.data() + c * capacity_;
      const int64_t at = (first_ + size_) % capacity_;
      const int64_t head = std::min(count, capacity_ - at);
      if (in == nullptr) {
        std::fill_n(ring + at, head, 0.0f);
        std::fill_n(ring, count - head, 0.0f);
      } else {
        std::copy_n(in[c], head, ring + at);
        std::copy_n(in[c] + head, count - head, ring);
      }
    }
    size_ += count;
  }

  // Takes the first `count` samples of each channel out; there must be as many.
  void Pop(float* const* out, int64_t count) {
    for (int c = 0; c < channels_; ++c) {
      const float* ring = samples_.data() + c * capacity_;
      const int64_t head = std::min(count, capacity_ - first_);
      std::copy_n(ring + first_, head, out[c]);
      std::copy_n(ring, count - head, out[c] + head);
    }
    first_ = (first_ + count) % capacity_;
    size_ -= count;
  }

  void Visit(StateStream& stream) {
    stream.Integer(&first_, 0, capacity_ - 1);
    stream.Integer(&size_, 0, capacity_);
    stream.Floats(samples_);
  }

 private:
  int channels_;
  int64_t capacity_, first_ = 0, size_ = 0;
  std::vector<float> samples_;  // [channel][capacity]
};

}  // namespace timbre
