// Jobs beside each other in one process, cancelled and killed; and the C interface that runs them.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cfenv>
#include <clocale>
#include <cmath>
#include <cstring>
#include <thread>

#include "base/file_faults.h"
#include "base/temporary_file.h"
#include "base/text.h"
#include "include/timbre/timbre.h"
#include "models/loader.h"
#include "models/released_networks.h"
#include "pipelines/job_json.h"
#include "pipelines/separate/separate.h"
#include "tests/e2e/program.h"
#include "tests/support/json_schema.h"

namespace timbre {
namespace {

using testing::FilesIn;
using testing::ReadAll;
using testing::TempFolder;

Json SeparateText(const TempFolder& folder, const std::string& input, const std::string& output, Json more = {}) {
  Json options = {{"model", "hpss"}, {"segment", 0.5}, {"threads", 1}, {"output", (folder / output).string()}};
  if (more.is_object()) options.update(more);
  return {{"kind", "separate"}, {"inputs", {(folder / input).string()}}, {"options", options}};
}

Status RunText(const Json& text, const JobHost& host, Observer& observer, Json& report) {
  TIMBRE_TRY(const ParsedJob parsed, JobFromJson(text));
  return RunJob(*parsed.kind, *parsed.job, host, observer, report);
}

// A network with its own faults, statistics and flag.
struct Network {
  FaultInjector faults;
  std::atomic<bool> cancelled{false};
  Stats stats;
  ThreadPool pool{1};
  Observer observer;
  std::unique_ptr<Separator> separator;

  Status Make(const std::string& path) {
    SeparateOptions options;
    options.output_dir.clear();
    options.session.device = "cpu";
    options.session.faults = &faults;
    options.session.cancelled = &cancelled;
    TIMBRE_TRY(LoadedModel model, LoadModel(path));
    TIMBRE_TRY(separator, Separator::Create(std::move(model), options, pool, stats));
    return {};
  }
  Result<std::vector<std::vector<float>>> Run(const std::vector<float>& mix) {
    return separator->SeparateSamples(mix, 2, observer);
  }
};

// One is told to stop in the middle of a tile and computes no further node; the other goes through a fault of its own
// and ends as it would alone.
TEST(JobsAtOnce, EachHasItsOwnCancelFaultsAndSteps) {
  const TempFolder folder;
  const std::string path = (folder / "small.safetensors").string();
  const auto row = FindNetwork("htdemucs-small");
  ASSERT_TRUE(row && WriteRandomModel(**row, 1, path));
  std::vector<float> mix(2 * 44100 * 3);
  for (size_t i = 0; i < mix.size(); ++i) mix[i] = std::sin(0.01f * static_cast<float>(i % 4410));
  Network alone, stopped, faulty;
  for (Network* network : {&alone, &stopped, &faulty}) {
    const Status made = network->Make(path);
    ASSERT_TRUE(made) << made.error().message;
  }
  const auto expected = alone.Run(mix);
  ASSERT_TRUE(expected) << expected.error().message;
  const int64_t all = alone.faults.passes(FaultPoint::kKernel);
  ASSERT_GT(all, 100);

  faulty.faults.FailAt(FaultPoint::kKernel, 7);
  Result<std::vector<std::vector<float>>> cancelled_result, faulty_result;
  std::thread first([&] { cancelled_result = stopped.Run(mix); });
  std::thread second([&] { faulty_result = faulty.Run(mix); });
  while (stopped.faults.passes(FaultPoint::kKernel) < all / 3) std::this_thread::yield();
  stopped.cancelled = true;
  const int64_t begun = stopped.faults.passes(FaultPoint::kKernel);
  first.join();
  second.join();
  ASSERT_FALSE(cancelled_result);
  EXPECT_EQ(cancelled_result.error().code, ErrorCode::kCancelled);
  // At most the one that had asked just before.
  EXPECT_LE(stopped.faults.passes(FaultPoint::kKernel), begun + 1);
  EXPECT_TRUE(stopped.stats.steps().empty());
  ASSERT_TRUE(faulty_result) << faulty_result.error().message;
  EXPECT_EQ(faulty.stats.steps().size(), 1u);
  for (size_t stem = 0; stem < expected->size(); ++stem) {
    double error = 0, energy = 1e-20;
    for (size_t i = 0; i < (*expected)[stem].size(); ++i) {
      const double e = (*expected)[stem][i], difference = e - (*faulty_result)[stem][i];
      error += difference * difference;
      energy += e * e;
    }
    EXPECT_LT(error / energy, 1e-9) << stem;
  }
}

// Two whole jobs: one is cancelled from another thread, the other's files and report are what they are alone.
TEST(JobsAtOnce, ACancelledOneLeavesNothingAndTheOtherIsWhole) {
  const TempFolder folder;
  testing::WriteTestWav(folder / "a.wav", 4);
  testing::WriteTestWav(folder / "b.wav", 1);
  Observer observer;
  Json report;
  ASSERT_TRUE(RunText(SeparateText(folder, "b.wav", "alone"), {}, observer, report));
  std::atomic<bool> cancelled{false}, computing{false};
  struct Watch : Observer {
    explicit Watch(std::atomic<bool>& at_compute) : flag(at_compute) {}
    void OnProgress(const Progress& progress) override {
      if (progress.stage == Stage::kCompute) flag = true;
    }
    std::atomic<bool>& flag;
  } watch(computing);
  Json cancelled_report, other_report;
  Status first = {}, second = {};
  std::thread one([&] {
    first = RunText(SeparateText(folder, "a.wav", "cancelled"), {.cancelled = &cancelled}, watch, cancelled_report);
  });
  std::thread two([&] { second = RunText(SeparateText(folder, "b.wav", "other"), {}, observer, other_report); });
  while (!computing) std::this_thread::yield();
  cancelled = true;
  one.join();
  two.join();
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(cancelled_report["error"]["kind"], "cancelled");
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_FALSE(other_report.contains("error"));
  EXPECT_FALSE(std::filesystem::exists(folder / "cancelled"));
  const std::vector<std::string> files = FilesIn(folder / "alone");
  ASSERT_EQ(files, FilesIn(folder / "other"));
  for (const std::string& file : files) EXPECT_EQ(ReadAll(folder / "alone" / file), ReadAll(folder / "other" / file));
}

// Killed at any step that it asks of the file system, a job leaves old files whole and no new one: as they lie, or once
// the next that writes there has put back what was half renamed.
TEST(JobsAtOnce, AKilledJobLeavesOldFilesWhole) {
  const TempFolder folder;
  testing::WriteTestWav(folder / "a.wav", 0.5);
  const std::filesystem::path out = folder / "out/hpss/a";
  const auto make_old = [&] {
    std::filesystem::remove_all(folder / "out");
    std::filesystem::create_directories(out);
    for (const char* stem : {"harmonic.wav", "percussive.wav"})
      testing::WriteAll(out / stem, std::string("old ") + stem);
  };
  int killed = 0;
  for (int nth = 0;; nth += nth < 4 ? 1 : 3) {  // a sample
    make_old();
    const pid_t child = fork();
    if (child == 0) {
      std::atomic<int> steps{0};
      SetFileFault([&](FileStep, const std::string&) { return steps++ == nth ? kill(getpid(), SIGKILL) : 0; });
      Observer observer;
      Json report;
      _exit(RunText(SeparateText(folder, "a.wav", "out"), {}, observer, report) ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      break;
    }
    ++killed;
    // By another process: each looks at a folder only once.
    const pid_t next = fork();
    if (next == 0) {
      for (const auto& place : {folder.path(), std::filesystem::path(folder / "out"), out})
        RemoveLeftovers(place.string());
      _exit(0);
    }
    waitpid(next, &status, 0);
    EXPECT_EQ(FilesIn(folder / "out"), (std::vector<std::string>{"hpss/a/harmonic.wav", "hpss/a/percussive.wav"}))
        << nth;
    EXPECT_EQ(ReadAll(out / "harmonic.wav"), "old harmonic.wav") << nth;
    EXPECT_EQ(ReadAll(out / "percussive.wav"), "old percussive.wav") << nth;
    ASSERT_LT(nth, 1000);
  }
  EXPECT_GE(killed, 5);
  EXPECT_NE(ReadAll(out / "harmonic.wav"), "old harmonic.wav");
}

// What belongs to the process, and not to a library in it.
struct HostSettings {
  std::vector<struct sigaction> signals;
  std::string locale, folder;
  int rounding = 0;
  mode_t mask = 0;
  rlimit files = {};

  HostSettings() {
    for (int signal = 1; signal < 32; ++signal) {
      struct sigaction action = {};
      sigaction(signal, nullptr, &action);
      signals.push_back(action);
    }
    locale = setlocale(LC_ALL, nullptr);
    folder = std::filesystem::current_path().string();
    rounding = std::fegetround();
    mask = umask(0);
    umask(mask);
    getrlimit(RLIMIT_NOFILE, &files);
  }
};

TEST(CInterface, RunsJobsAndChangesNothingOfItsHost) {
  const TempFolder folder;
  testing::WriteTestWav(folder / "a.wav", 1);
  const HostSettings before;
  char error[256] = "";
  EXPECT_EQ(timbre_job_create("{}", error, sizeof error), nullptr);
  EXPECT_NE(std::string(error).find("'kind'"), std::string::npos) << error;
  EXPECT_EQ(timbre_job_create(nullptr, error, sizeof error), nullptr);
  EXPECT_EQ(timbre_job_create("[", nullptr, 0), nullptr);
  timbre_job* job = timbre_job_create(SeparateText(folder, "a.wav", "out").dump().c_str(), error, sizeof error);
  ASSERT_NE(job, nullptr) << error;
  std::vector<std::string> events;
  const auto listen = [](void* user, const char* event) {
    static_cast<std::vector<std::string>*>(user)->emplace_back(event);
  };
  EXPECT_EQ(timbre_job_run(job, listen, &events), TIMBRE_OK) << timbre_job_error(job);
  EXPECT_EQ(timbre_job_run(job, listen, &events), TIMBRE_INVALID_ARGUMENT) << "once";
  EXPECT_STREQ(timbre_job_error(job), "");
  const Json report = Json::parse(timbre_job_report(job));
  EXPECT_EQ(testing::SchemaErrors(ReportSchema(**FindJobKind("separate")), report), std::vector<std::string>());
  EXPECT_EQ(FilesIn(folder / "out").size(), 2u);
  EXPECT_TRUE(std::any_of(events.begin(), events.end(),
                          [](const std::string& event) { return Json::parse(event)["event"] == "progress"; }));
  timbre_job_destroy(job);

  // Cancelled before it begins; a failure; nothing.
  job = timbre_job_create(SeparateText(folder, "a.wav", "none").dump().c_str(), error, sizeof error);
  timbre_job_cancel(job);
  EXPECT_EQ(timbre_job_run(job, nullptr, nullptr), TIMBRE_CANCELLED);
  timbre_job_destroy(job);
  job = timbre_job_create(SeparateText(folder, "gone.wav", "none").dump().c_str(), error, sizeof error);
  EXPECT_EQ(timbre_job_run(job, nullptr, nullptr), TIMBRE_FAILED);
  EXPECT_NE(std::string(timbre_job_error(job)).find("gone.wav"), std::string::npos);
  timbre_job_destroy(job);
  EXPECT_FALSE(std::filesystem::exists(folder / "none"));
  timbre_job_destroy(nullptr);
  timbre_job_cancel(nullptr);
  EXPECT_EQ(timbre_job_run(nullptr, nullptr, nullptr), TIMBRE_INVALID_ARGUMENT);

  for (auto* text_of : {timbre_devices, timbre_models, timbre_job_kinds}) {
    char* const text = text_of(error, sizeof error);
    ASSERT_NE(text, nullptr) << error;
    EXPECT_TRUE(Json::parse(text).is_structured());
    timbre_free(text);
  }
  const HostSettings after;
  for (size_t i = 0; i < before.signals.size(); ++i) {
    EXPECT_EQ(before.signals[i].sa_handler, after.signals[i].sa_handler) << "signal " << i + 1;
  }
  EXPECT_EQ(before.locale, after.locale);
  EXPECT_EQ(before.folder, after.folder);
  EXPECT_EQ(before.rounding, after.rounding);
  EXPECT_EQ(before.mask, after.mask);
  EXPECT_EQ(before.files.rlim_cur, after.files.rlim_cur);
}

// Whatever room there is for it, an error is whole characters that end in a zero.
TEST(CInterface, ErrorsAreCutBehindACharacter) {
  for (size_t size = 0; size < 140; ++size) {
    std::string error(size + 1, '\x7f');
    EXPECT_EQ(timbre_separator_create("{\"model\": \"é日本語éééééééééé日本語éééééééé\"}", nullptr, nullptr,
                                      error.data(), size),
              nullptr);
    EXPECT_EQ(error[size], '\x7f') << size;
    if (size == 0) continue;
    const size_t end = error.find('\0');
    ASSERT_LT(end, size);
    EXPECT_TRUE(IsUtf8(std::string_view(error).substr(0, end))) << size;
    EXPECT_EQ(end == 0, size < 4) << size;
    std::string live(size, '\x7f');
    EXPECT_EQ(timbre_denoiser_create("/é日本語éééééééééé日本語éééééééé", 48000, 1, live.data(), size), nullptr);
    EXPECT_TRUE(live.find('\0') < size && IsUtf8(live.c_str())) << size;
  }
}

TEST(CInterface, PartsSamplesAtAnyRate) {
  char error[256] = "";
  EXPECT_EQ(timbre_separator_create("{\"modell\": \"hpss\"}", nullptr, nullptr, error, sizeof error), nullptr);
  EXPECT_NE(std::string(error).find("'model'"), std::string::npos) << error;
  EXPECT_EQ(timbre_separator_create("{", nullptr, nullptr, error, sizeof error), nullptr);
  timbre_separator* separator = timbre_separator_create("{\"model\": \"hpss\"}", nullptr, nullptr, error, sizeof error);
  ASSERT_NE(separator, nullptr) << error;
  ASSERT_EQ(timbre_separator_stem_count(separator), 2u);
  EXPECT_STREQ(timbre_separator_stem(separator, 1), "percussive");
  EXPECT_EQ(timbre_separator_stem(separator, 2), nullptr);
  for (const int rate : {44100, 32000}) {
    for (const int channels : {1, 2}) {
      const size_t frames = static_cast<size_t>(rate) + 7;
      std::vector<std::vector<float>> mix(channels, std::vector<float>(frames)), stems(2 * channels, mix[0]);
      for (size_t i = 0; i < frames; ++i) {
        for (auto& channel : mix) channel[i] = 0.5f * std::sin(0.05f * static_cast<float>(i));
      }
      std::vector<const float*> in;
      std::vector<float*> out;
      for (const auto& channel : mix) in.push_back(channel.data());
      for (auto& channel : stems) out.push_back(channel.data());
      ASSERT_EQ(timbre_separator_run(separator, in.data(), channels, frames, rate, out.data(), nullptr, nullptr, error,
                                     sizeof error),
                TIMBRE_OK)
          << error;
      // The two add up to the mix, but for what two conversions of the rate cost.
      double worst = 0;
      for (size_t i = frames / 10; i < frames * 9 / 10; ++i) {
        worst = std::max<double>(worst, std::abs(stems[0][i] + stems[channels][i] - mix[0][i]));
      }
      EXPECT_LT(worst, 1e-4) << rate << " Hz, " << channels << " channels";
      EXPECT_EQ(timbre_separator_run(separator, in.data(), channels, 0, rate, out.data(), nullptr, nullptr, error,
                                     sizeof error),
                TIMBRE_INVALID_ARGUMENT);
    }
  }
  // One null pointer among them is an error, and so are none, or three.
  std::vector<float> sound(100);
  const float* const heard[2] = {sound.data(), nullptr};
  float* const made[4] = {sound.data(), sound.data(), nullptr, sound.data()};
  const auto refused = [&](const float* const* from, int channels, float* const* to) {
    return timbre_separator_run(separator, from, channels, sound.size(), 44100, to, nullptr, nullptr, error,
                                sizeof error) == TIMBRE_INVALID_ARGUMENT;
  };
  EXPECT_TRUE(refused(heard, 2, made));
  EXPECT_NE(std::string(error).find("pointers is null"), std::string::npos) << error;
  const float* const whole[3] = {sound.data(), sound.data(), sound.data()};
  EXPECT_TRUE(refused(whole, 2, made) && refused(nullptr, 2, made) && refused(whole, 2, nullptr));
  EXPECT_TRUE(refused(whole, 0, made) && refused(whole, -1, made) && refused(whole, 3, made));

  const auto stop = [](void* user, const char*) { timbre_separator_cancel(static_cast<timbre_separator*>(user)); };
  const std::vector<float> silence(44100 * 20), stems[2] = {silence, silence};
  const float* in[1] = {silence.data()};
  float* out[2] = {const_cast<float*>(stems[0].data()), const_cast<float*>(stems[1].data())};
  EXPECT_EQ(timbre_separator_run(separator, in, 1, silence.size(), 44100, out, stop, separator, error, sizeof error),
            TIMBRE_CANCELLED);
  timbre_separator_destroy(separator);
}

}  // namespace
}  // namespace timbre
