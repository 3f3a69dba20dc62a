#include "base/file_faults.h"

#include <atomic>
#include <cerrno>
#include <utility>

namespace timbre {
namespace {

FileFault& Fault() {
  static FileFault fault;
  return fault;
}
std::atomic<bool> faulty{false};

}  // namespace

void SetFileFault(FileFault fault) {
  faulty = false;
  Fault() = std::move(fault);
  faulty = static_cast<bool>(Fault());
}

bool FileStepFails(FileStep step, const std::string& path) {
  if (!faulty.load(std::memory_order_acquire)) return false;
  const int error = Fault()(step, path);
  if (error != 0) errno = error;
  return error != 0;
}

}  // namespace timbre
