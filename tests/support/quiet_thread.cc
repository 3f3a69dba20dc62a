#include "tests/support/quiet_thread.h"

#include <dlfcn.h>
#include <pthread.h>

#include <cerrno>
#include <cstdlib>
#include <mutex>

#if defined(__has_feature)  // clang's way of saying it
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TIMBRE_SANITIZED 1
#endif
#endif
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(TIMBRE_SANITIZED)
#define TIMBRE_COUNTS 1
#else
#define TIMBRE_COUNTS 0
#endif

namespace {
thread_local int64_t allocations = 0;
thread_local int64_t locks = 0;
}  // namespace

#if TIMBRE_COUNTS
// The program's own functions come before the C library's, for every library of the process.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* block, size_t size) {
  ++allocations;
  return __libc_realloc(block, size);
}
void* memalign(size_t alignment, size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** block, size_t alignment, size_t size) {
  ++allocations;
  *block = __libc_memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}

int pthread_mutex_lock(pthread_mutex_t* mutex) {
  static int (*const next)(pthread_mutex_t*) =
      reinterpret_cast<int (*)(pthread_mutex_t*)>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  ++locks;
  return next(mutex);
}
}
#endif

namespace timbre::testing {

int64_t Allocations() { return allocations; }
int64_t Locks() { return locks; }

bool QuietThreadCounts() {
  if (!TIMBRE_COUNTS) return false;
  const int64_t before = Allocations(), locks_before = Locks();
  static std::mutex mutex;
  mutex.lock();
  mutex.unlock();
  void* volatile block = std::malloc(100);
  std::free(block);
  return Allocations() == before + 1 && Locks() == locks_before + 1;
}

}  // namespace timbre::testing
