#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <new>
#include <string>
#include <system_error>

#include "base/cpu_quota.h"
#include "base/denormals.h"
#include "base/log.h"

namespace timbre {
namespace {

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// A network is a few thousand loops of some tens of microseconds: sleeping between them would cost more than they do.
// Whoever waits longer than this sleeps, so that an idle pool costs nothing.
constexpr auto kSpin = std::chrono::microseconds(50);

template <typename Ready>
bool SpinUntil(const Ready& ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      Pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

constexpr uint32_t kOpen = uint32_t{1} << 31;

// A quota of two processors is used up at once by sixteen threads, which then all wait.
int UpToQuota(int processors) {
  const int quota = CpuQuota();
  return quota > 0 ? std::min(quota, processors) : processors;
}

}  // namespace

int AvailableProcessors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    const int count = CPU_COUNT(&set);
    if (count > 0) return UpToQuota(count);
  }
  const unsigned n = std::thread::hardware_concurrency();
  return UpToQuota(n == 0 ? 1 : static_cast<int>(n));
}

ThreadPool::ThreadPool(int threads) {
  const int processors = AvailableProcessors();
  if (threads <= 0) threads = processors;
  spin_ = threads <= processors;
  // Workers wait until it is known how many there can be; those beyond `staying` end.
  constexpr int kUnknown = -1;
  const auto staying = std::make_shared<std::atomic<int>>(kUnknown);
  std::string reason;
  try {
    workers_.reserve(threads - 1);
    for (int i = 1; i < threads; ++i) {
      workers_.emplace_back([this, i, staying] {
        staying->wait(kUnknown);
        if (i <= staying->load()) Work(i);
      });
    }
  } catch (const std::system_error& error) {
    reason = error.code().message();
  } catch (const std::bad_alloc&) {
    reason = "out of memory";
  }
  // Half of what there was room for: the work itself wants memory and a thread or two as well.
  const size_t kept = reason.empty() ? workers_.size() : workers_.size() / 2;
  staying->store(static_cast<int>(kept));
  staying->notify_all();
  for (; workers_.size() > kept; workers_.pop_back()) workers_.back().join();
  if (!reason.empty()) {
    Log(LogLevel::kWarning, "the system gave no more threads (" + reason + "): " + std::to_string(kept + 1) +
                                " are used instead of " + std::to_string(threads));
  }
}

void ThreadPool::Pin() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || CPU_COUNT(&allowed) < threads()) return;
  std::vector<int> processors;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &allowed)) processors.push_back(i);
  }
  // Nobody finishes before everybody has come, so that each thread gets one index.
  std::atomic<int> arrived{0};
  ForEach(threads(), [&](int64_t, int worker) {
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(processors[worker], &own);
    sched_setaffinity(0, sizeof(own), &own);  // a refusal costs nothing but a noisier measurement
    arrived.fetch_add(1);
    while (arrived.load() < threads()) std::this_thread::yield();
  });
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  loop_.fetch_add(1);
  loop_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::Drain(int worker) {
  for (int64_t i = next_.fetch_add(1, std::memory_order_relaxed); i < count_;
       i = next_.fetch_add(1, std::memory_order_relaxed)) {
    call_(body_, i, worker);
  }
}

void ThreadPool::Run(int64_t count, Call call, const void* body) {
  if (count <= 0) return;
  if (workers_.empty() || count == 1) {
    for (int64_t i = 0; i < count; ++i) call(body, i, 0);
    return;
  }
  call_ = call;
  body_ = body;
  count_ = count;
  next_.store(0, std::memory_order_relaxed);
  gate_.store(kOpen, std::memory_order_release);
  loop_.fetch_add(1);
  // A worker counts itself asleep before it looks at loop_ for the last time: either it sees this loop, or it is seen.
  const auto others = static_cast<int64_t>(workers_.size());
  const int64_t asleep = asleep_.load();
  if (asleep > 0) {
    const int64_t wanted = std::min(count - 1, others) - (others - asleep);
    if (wanted >= asleep) {
      loop_.notify_all();
    } else {
      for (int64_t i = 0; i < wanted; ++i) loop_.notify_one();
    }
  }
  Drain(0);
  uint32_t inside = gate_.fetch_and(~kOpen, std::memory_order_acquire) & ~kOpen;
  if (inside == 0) return;
  if (spin_ && SpinUntil([&] { return gate_.load(std::memory_order_acquire) == 0; })) return;
  while ((inside = gate_.load(std::memory_order_acquire)) != 0) gate_.wait(inside, std::memory_order_acquire);
}

// Waits for a loop after the one `seen`, or the end.
void ThreadPool::AwaitLoop(uint32_t seen) {
  if (spin_ && SpinUntil([&] { return loop_.load(std::memory_order_relaxed) != seen; })) return;
  asleep_.fetch_add(1);
  while (loop_.load() == seen) loop_.wait(seen);
  asleep_.fetch_sub(1, std::memory_order_relaxed);
}

bool ThreadPool::Enter() {
  uint32_t gate = gate_.load(std::memory_order_relaxed);
  while ((gate & kOpen) != 0) {
    if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire, std::memory_order_relaxed)) return true;
  }
  return false;
}

void ThreadPool::Leave() {
  if (gate_.fetch_sub(1) == 1) gate_.notify_one();
}

void ThreadPool::Work(int worker) {
  const ScopedFlushDenormals flush;  // numbers this small mean nothing to a network, and cost a hundred times as much
  uint32_t seen = 0;
  for (;;) {
    AwaitLoop(seen);
    seen = loop_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    if (!Enter()) continue;
    Drain(worker);
    Leave();
  }
}

}  // namespace timbre
