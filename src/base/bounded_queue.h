// A queue of bounded length between two stages of a pipeline: the faster stage waits, so that memory doesn't grow.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace timbre {

// Any number of threads may push and pop. Neither call waits for ever once the queue was closed or cancelled, so that a
// stage that fails calls Cancel() and its neighbours end by themselves.
template <typename T>
class BoundedQueue {
 public:
  // capacity: items that may wait, at least 1.
  explicit BoundedQueue(size_t capacity) : capacity_(capacity == 0 ? 1 : capacity) {}

  // Waits for room. False, and the item dropped, where the queue is closed or cancelled.
  bool Push(T item) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return items_.size() < capacity_ || closed_; });
    if (closed_) return false;
    items_.push_back(std::move(item));
    filled_.notify_one();
    return true;
  }

  // Waits for an item. Empty where the queue was closed and everything in it has been taken, or where it was cancelled.
  std::optional<T> Pop() {
    std::unique_lock lock(mutex_);
    filled_.wait(lock, [&] { return !items_.empty() || closed_; });
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    room_.notify_one();
    return item;
  }

  // Nothing more is pushed; what is in the queue can still be taken.
  void Close() { End(false); }
  // Nothing more is pushed nor taken.
  void Cancel() { End(true); }

 private:
  void End(bool drop) {
    std::lock_guard lock(mutex_);
    closed_ = true;
    if (drop) items_.clear();
    room_.notify_all();
    filled_.notify_all();
  }

  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable room_, filled_;
  std::deque<T> items_;  // guarded by mutex_
  bool closed_ = false;  // guarded by mutex_
};

}  // namespace timbre
