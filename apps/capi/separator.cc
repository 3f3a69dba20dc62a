// The C interface over separation of samples in memory.
#include <algorithm>
#include <atomic>

#include "apps/capi/events.h"
#include "apps/capi/guard.h"
#include "pipelines/separate/memory_separator.h"

using timbre::Json;
using timbre::Result;

struct timbre_separator {
  std::atomic<bool> cancelled{false};
  std::unique_ptr<timbre::MemorySeparator> memory;
};

namespace {

// Its flag is asked between tiles too.
class CancellableObserver final : public timbre::Observer {
 public:
  CancellableObserver(Observer& events, const std::atomic<bool>& cancelled) : events_(events), cancelled_(cancelled) {}
  void OnProgress(const timbre::Progress& progress) override { events_.OnProgress(progress); }
  void OnEvent(const timbre::Event& event) override { events_.OnEvent(event); }
  bool Cancelled() override { return cancelled_; }

 private:
  Observer& events_;
  const std::atomic<bool>& cancelled_;
};

}  // namespace

timbre_separator* timbre_separator_create(const char* options, timbre_event_function on_event, void* user, char* error,
                                          size_t error_size) {
  auto made = timbre::capi::Guarded([&]() -> Result<std::unique_ptr<timbre_separator>> {
    const Json json = options == nullptr ? Json::object() : Json::parse(options, nullptr, false);
    if (json.is_discarded()) return timbre::Fail(timbre::ErrorCode::kInvalidArgument, "the options are no JSON");
    auto separator = std::make_unique<timbre_separator>();
    timbre::capi::FunctionObserver observer(on_event, user);
    TIMBRE_TRY(separator->memory,
               timbre::MemorySeparator::Create(json, {.cancelled = &separator->cancelled}, observer));
    return separator;
  });
  if (!made) timbre::capi::Complain(made.error().message, error, error_size);
  return made ? made->release() : nullptr;
}

void timbre_separator_destroy(timbre_separator* separator) { delete separator; }

size_t timbre_separator_stem_count(const timbre_separator* separator) {
  return separator == nullptr ? 0 : separator->memory->stems().size();
}

const char* timbre_separator_stem(const timbre_separator* separator, size_t stem) {
  if (separator == nullptr || stem >= separator->memory->stems().size()) return nullptr;
  return separator->memory->stems()[stem].c_str();
}

int timbre_separator_sample_rate(const timbre_separator* separator) {
  return separator == nullptr ? 0 : separator->memory->sample_rate();
}

timbre_status timbre_separator_run(timbre_separator* separator, const float* const* in, int channels, size_t frames,
                                   int sample_rate, float* const* out, timbre_event_function on_event, void* user,
                                   char* error, size_t error_size) {
  if (separator == nullptr || in == nullptr || out == nullptr || channels < 1) {
    timbre::capi::Complain("a pointer is null, or there is no channel", error, error_size);
    return TIMBRE_INVALID_ARGUMENT;
  }
  // More channels are refused below, however many pointers there are.
  const size_t planes = channels > 2 ? 0 : separator->memory->stems().size() * static_cast<size_t>(channels);
  if (planes > 0 && (std::count(in, in + channels, nullptr) > 0 || std::count(out, out + planes, nullptr) > 0)) {
    timbre::capi::Complain("one of the channels' pointers is null", error, error_size);
    return TIMBRE_INVALID_ARGUMENT;
  }
  separator->cancelled = false;
  const auto done = timbre::capi::Guarded([&]() -> timbre::Status {
    timbre::capi::FunctionObserver events(on_event, user);
    CancellableObserver observer(events, separator->cancelled);
    TIMBRE_TRY(const auto stems, separator->memory->Run({in, static_cast<size_t>(channels)},
                                                        static_cast<int64_t>(frames), sample_rate, observer));
    for (size_t s = 0; s < stems.size(); ++s) {
      for (size_t c = 0; c < stems[s].size(); ++c) {
        std::copy(stems[s][c].begin(), stems[s][c].end(), out[s * stems[s].size() + c]);
      }
    }
    return {};
  });
  if (done) return TIMBRE_OK;
  timbre::capi::Complain(done.error().message, error, error_size);
  return timbre::capi::StatusOf(done.error().code);
}

void timbre_separator_cancel(timbre_separator* separator) {
  if (separator != nullptr) separator->cancelled = true;
}
