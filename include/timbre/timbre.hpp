// timbre for C++17 and later: timbre.h with owners in place of pointers. Nothing throws but what memory that runs out
// makes the standard library throw; what can fail gives an Outcome.
//
//   auto job = timbre::Job::Create(R"({"kind": "separate", "inputs": ["song.mp3"]})");
//   if (!job) return Complain(job.error());
//   if (job->Run() != timbre::Status::kOk) return Complain(job->error());
//   std::cout << job->report();
#ifndef TIMBRE_TIMBRE_HPP_
#define TIMBRE_TIMBRE_HPP_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "timbre/timbre.h"

namespace timbre {
// A namespace of its own for the linker: names here are never those inside a static library.
inline namespace api1 {

enum class Status { kOk, kFailed, kInvalidArgument, kCancelled };  // as timbre_status

// A value, or one sentence on why there is none.
template <typename T>
class Outcome {
 public:
  Outcome(T value) : value_(std::move(value)) {}
  static Outcome Failure(std::string error) { return Outcome(std::move(error), 0); }
  explicit operator bool() const { return value_.has_value(); }
  T& operator*() { return *value_; }
  T* operator->() { return &*value_; }
  const std::string& error() const { return error_; }

 private:
  Outcome(std::string error, int /*failed*/) : error_(std::move(error)) {}
  std::optional<T> value_;
  std::string error_;
};

// Called with an object of JSON, from threads of the library, one call at a time. It must not throw.
using OnEvent = std::function<void(std::string_view event)>;

namespace detail {
constexpr std::size_t kErrorSize = 1024;
inline void Forward(void* user, const char* event) {
  const OnEvent& on_event = *static_cast<const OnEvent*>(user);
  if (on_event) on_event(event);
}
inline timbre_event_function FunctionOf(const OnEvent& on_event) { return on_event ? Forward : nullptr; }
inline void* UserOf(const OnEvent& on_event) { return const_cast<OnEvent*>(&on_event); }
template <typename F>
Outcome<std::string> TextOf(F function) {
  char error[kErrorSize] = "";
  const std::unique_ptr<char, void (*)(char*)> text(function(error, sizeof error), timbre_free);
  return text ? Outcome<std::string>(std::string(text.get())) : Outcome<std::string>::Failure(error);
}
}  // namespace detail

inline std::string Version() { return timbre_version(); }
// JSON, as timbre.h says.
inline Outcome<std::string> Devices() { return detail::TextOf(timbre_devices); }
inline Outcome<std::string> Models() { return detail::TextOf(timbre_models); }
inline Outcome<std::string> JobKinds() { return detail::TextOf(timbre_job_kinds); }

class Job {
 public:
  static Outcome<Job> Create(const std::string& json) {
    char error[detail::kErrorSize] = "";
    timbre_job* const job = timbre_job_create(json.c_str(), error, sizeof error);
    return job == nullptr ? Outcome<Job>::Failure(error) : Outcome<Job>(Job(job));
  }
  Status SetStream(int descriptor) { return static_cast<Status>(timbre_job_set_stream(job_.get(), descriptor)); }
  Status Run(const OnEvent& on_event = {}) {
    return static_cast<Status>(timbre_job_run(job_.get(), detail::FunctionOf(on_event), detail::UserOf(on_event)));
  }
  void Cancel() { timbre_job_cancel(job_.get()); }  // from any thread
  std::string report() const { return timbre_job_report(job_.get()); }
  std::string error() const { return timbre_job_error(job_.get()); }

 private:
  struct Destroy {
    void operator()(timbre_job* job) const { timbre_job_destroy(job); }
  };
  explicit Job(timbre_job* job) : job_(job) {}
  std::unique_ptr<timbre_job, Destroy> job_;
};

// [channel][frame], all channels of one length.
using Sound = std::vector<std::vector<float>>;

class Separator {
 public:
  static Outcome<Separator> Create(const std::string& options = "{}", const OnEvent& on_event = {}) {
    char error[detail::kErrorSize] = "";
    timbre_separator* const separator = timbre_separator_create(options.c_str(), detail::FunctionOf(on_event),
                                                                detail::UserOf(on_event), error, sizeof error);
    return separator == nullptr ? Outcome<Separator>::Failure(error) : Outcome<Separator>(Separator(separator));
  }
  std::vector<std::string> stems() const {
    std::vector<std::string> names(timbre_separator_stem_count(separator_.get()));
    for (std::size_t i = 0; i < names.size(); ++i) names[i] = timbre_separator_stem(separator_.get(), i);
    return names;
  }
  int sample_rate() const { return timbre_separator_sample_rate(separator_.get()); }
  // A Sound for each of stems(), like `mix`.
  Outcome<std::vector<Sound>> Run(const Sound& mix, int sample_rate, const OnEvent& on_event = {}) {
    const std::size_t frames = mix.empty() ? 0 : mix.front().size();
    std::vector<const float*> in;
    for (const std::vector<float>& channel : mix) {
      if (channel.size() != frames) return Outcome<std::vector<Sound>>::Failure("the channels differ in length");
      in.push_back(channel.data());
    }
    std::vector<Sound> stems(timbre_separator_stem_count(separator_.get()),
                             Sound(mix.size(), std::vector<float>(frames)));
    std::vector<float*> out;
    for (Sound& stem : stems) {
      for (std::vector<float>& channel : stem) out.push_back(channel.data());
    }
    char error[detail::kErrorSize] = "";
    const timbre_status status =
        timbre_separator_run(separator_.get(), in.data(), static_cast<int>(mix.size()), frames, sample_rate, out.data(),
                             detail::FunctionOf(on_event), detail::UserOf(on_event), error, sizeof error);
    return status == TIMBRE_OK ? Outcome<std::vector<Sound>>(std::move(stems))
                               : Outcome<std::vector<Sound>>::Failure(error);
  }
  void Cancel() { timbre_separator_cancel(separator_.get()); }  // from any thread

 private:
  struct Destroy {
    void operator()(timbre_separator* separator) const { timbre_separator_destroy(separator); }
  };
  explicit Separator(timbre_separator* separator) : separator_(separator) {}
  std::unique_ptr<timbre_separator, Destroy> separator_;
};

class Denoiser {
 public:
  static Outcome<Denoiser> Create(const std::string& model, int sample_rate, int channels) {
    char error[detail::kErrorSize] = "";
    timbre_denoiser* const denoiser = timbre_denoiser_create(model.c_str(), sample_rate, channels, error, sizeof error);
    return denoiser == nullptr ? Outcome<Denoiser>::Failure(error) : Outcome<Denoiser>(Denoiser(denoiser));
  }
  std::size_t latency() const { return timbre_denoiser_latency(denoiser_.get()); }
  // Real-time safe, as are the three below.
  Status Process(const float* const* in, float* const* out, std::size_t frames) {
    return static_cast<Status>(timbre_denoiser_process(denoiser_.get(), in, out, frames));
  }
  void Reset() { timbre_denoiser_reset(denoiser_.get()); }
  Status Set(timbre_parameter parameter, float value) {
    return static_cast<Status>(timbre_denoiser_set(denoiser_.get(), parameter, value));
  }
  float Get(timbre_parameter parameter) const { return timbre_denoiser_get(denoiser_.get(), parameter); }

 private:
  struct Destroy {
    void operator()(timbre_denoiser* denoiser) const { timbre_denoiser_destroy(denoiser); }
  };
  explicit Denoiser(timbre_denoiser* denoiser) : denoiser_(denoiser) {}
  std::unique_ptr<timbre_denoiser, Destroy> denoiser_;
};

}  // namespace api1
}  // namespace timbre

#endif  // TIMBRE_TIMBRE_HPP_
