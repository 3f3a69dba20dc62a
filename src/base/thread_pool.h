// An explicit pool of threads. Nothing in timbre starts threads behind the caller's back.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace timbre {

// Runs loops over indices on `threads` threads, the calling one included. One loop at a time; calls must not nest.
class ThreadPool {
 public:
  // threads = 0 takes the number of processors this process may use.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Binds every thread, the calling one included, to a processor of its own, where there are enough: for measurements.
  // Left to itself the system may run two threads on one processor for seconds (seen on virtual machines that pack
  // their processors), and where it shares the machine with others it should be left to itself.
  void Pin();

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(index, worker) once for each index in [0, count), in any order; worker is in [0, threads()).
  // Indices are handed out one by one, so that uneven work balances: make each worth at least some microseconds.
  // Returns when all calls have; a worker that the system has not let run by then is not waited for. The body must not
  // throw.
  template <typename Body>
  void ForEach(int64_t count, const Body& body) {
    Run(
        count, [](const void* b, int64_t index, int worker) { (*static_cast<const Body*>(b))(index, worker); }, &body);
  }

  // Splits [0, count) into contiguous ranges of at least `grain` and calls body(begin, end, worker) for each.
  template <typename Body>
  void ForRange(int64_t count, int64_t grain, const Body& body) {
    if (count <= 0) return;
    if (grain < 1) grain = 1;
    // Four ranges a thread: enough to balance, few enough to cost nothing.
    int64_t ranges = (count + grain - 1) / grain;
    if (ranges > 4 * threads()) ranges = 4 * threads();
    if (threads() == 1) ranges = 1;
    ForEach(ranges, [&](int64_t r, int worker) { body(count * r / ranges, count * (r + 1) / ranges, worker); });
  }

 private:
  using Call = void (*)(const void* body, int64_t index, int worker);
  void Run(int64_t count, Call call, const void* body);
  void Work(int worker);
  void Drain(int worker);

  void AwaitLoop(uint32_t seen);
  bool Enter();
  void Leave();

  // What threads write while others spin on their neighbours lies in cache lines of its own.
  static constexpr size_t kLine = 64;

  std::vector<std::thread> workers_;
  bool spin_ = false;  // whether there is a processor for every thread, so that one that spins keeps nobody waiting
  std::atomic<bool> stop_{false};

  // The loop: written while the gate is shut and nobody is inside, read by those who have entered.
  Call call_ = nullptr;
  const void* body_ = nullptr;
  int64_t count_ = 0;

  alignas(kLine) std::atomic<uint32_t> loop_{0};    // counts loops, for workers to wait on
  alignas(kLine) std::atomic<uint32_t> gate_{0};    // kOpen while workers may enter, plus how many are inside
  alignas(kLine) std::atomic<uint32_t> asleep_{0};  // workers that have to be woken
  alignas(kLine) std::atomic<int64_t> next_{0};     // the next index to hand out
};

// The number of processors this process may run on (its affinity mask and control group, not the machine's total).
int AvailableProcessors();

}  // namespace timbre
