#include "base/last_words.h"

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace timbre {
namespace {

// A handler may interrupt anything, so that there is no lock: who takes a name out of its slot owns it.
struct Names {
  std::array<std::atomic<char*>, 64> slots{};
  std::atomic<Names*> next{nullptr};
};
Names first_names;
static_assert(std::atomic<char*>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

std::atomic<int> holds{0}, waiting_signal{0};

// Nested folders are empty once those in them are gone.
constexpr int kDeepest = 16;

}  // namespace

NameToRemove::NameToRemove(const std::string& path) {
  char* const name = strdup(path.c_str());
  if (name == nullptr) return;
  for (Names* names = &first_names;;) {
    for (auto& slot : names->slots) {
      char* empty = nullptr;
      if (slot.compare_exchange_strong(empty, name)) {
        slot_ = &slot;
        return;
      }
    }
    if (names->next.load() == nullptr) {
      auto* more = new Names;
      Names* none = nullptr;
      if (!names->next.compare_exchange_strong(none, more)) delete more;
    }
    names = names->next;
  }
}

void NameToRemove::Forget() {
  if (slot_ != nullptr) std::free(slot_->exchange(nullptr));
  slot_ = nullptr;
}

SignalHold::SignalHold() { ++holds; }

SignalHold::~SignalHold() {
  if (--holds != 0) return;
  if (const int signal = waiting_signal.exchange(0); signal != 0) EndBySignal(signal);
}

void EndBySignal(int signal) {
  waiting_signal = signal;
  if (holds != 0) return;
  for (int round = 0; round < kDeepest; ++round) {
    for (Names* names = &first_names; names != nullptr; names = names->next) {
      for (auto& slot : names->slots) {
        char* const name = slot.exchange(nullptr);
        if (name == nullptr || unlink(name) == 0 || rmdir(name) == 0) continue;
        slot = name;  // a folder that something still lies in
      }
    }
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace timbre
