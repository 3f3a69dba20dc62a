// What has to be put away when a signal ends the process: files and folders with names that nobody would remove.
#pragma once

#include <atomic>
#include <string>
#include <utility>

namespace timbre {

// While it lives, the file or empty folder `path` is removed by EndBySignal. Remove() and the end of the process aside,
// it leaves the path alone. Movable; thread-safe.
class NameToRemove {
 public:
  NameToRemove() = default;
  explicit NameToRemove(const std::string& path);
  NameToRemove(NameToRemove&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  NameToRemove& operator=(NameToRemove&& other) noexcept {
    std::swap(slot_, other.slot_);
    return *this;
  }
  ~NameToRemove() { Forget(); }
  void Forget();

 private:
  std::atomic<char*>* slot_ = nullptr;
};

// While it lives, EndBySignal waits: several names are being changed together.
class SignalHold {
 public:
  SignalHold();
  ~SignalHold();
  SignalHold(const SignalHold&) = delete;
  SignalHold& operator=(const SignalHold&) = delete;
};

// Removes every NameToRemove and ends the process by `signal`, as if it had not been caught; where a SignalHold lives,
// returns, and its end does that. For signal handlers: takes no lock and no memory.
void EndBySignal(int signal);

}  // namespace timbre
