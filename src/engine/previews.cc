#include "engine/previews.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "audio/decode.h"
#include "audio/peaks.h"
#include "audio/resample.h"
#include "audio/sound_at.h"
#include "base/file_faults.h"
#include "base/files.h"
#include "base/paths.h"
#include "base/start_thread.h"
#include "engine/ids.h"

namespace timbre::engine {
namespace fs = std::filesystem;

namespace {

constexpr size_t kMostWaiting = 256, kMostFailures = 1000;
constexpr int64_t kForgetFaults = 5 * 1000000;      // microseconds, until what the disk refused is tried again
constexpr int64_t kBlock = 1 << 15;                 // frames
constexpr int64_t kMostSamples = int64_t{1} << 23;  // of a slice, all channels together
// Frames before and behind a slice that is resampled, beyond which the filter's answer is below the last bit of a
// float.
constexpr int64_t kMargin = 4096;
constexpr auto kTellEvery = std::chrono::milliseconds(100);

// At the head of a file of samples; the rest is float32, interleaved.
struct SamplesHead {
  int64_t magic = 0x3233666572626d74;
  int64_t sample_rate = 0, channels = 0, frames = 0;
};

// A file that is computed and can be computed again: nothing of it needs to have reached the disk.
class Scratch {
 public:
  explicit Scratch(std::string path) : path_(std::move(path)) {
    if (!FileStepFails(FileStep::kCreate, path_)) file_.reset(std::fopen(path_.c_str(), "wb"));
  }
  Status Write(const void* bytes, size_t count) {
    if (file_ && !FileStepFails(FileStep::kWrite, path_) && std::fwrite(bytes, 1, count, file_.get()) == count)
      return {};
    return Failed();
  }
  // What was written can be read from then on.
  Status Flush() { return file_ && std::fflush(file_.get()) == 0 ? Status() : Failed(); }
  Status Begin() { return file_ && std::fseek(file_.get(), 0, SEEK_SET) == 0 ? Status() : Failed(); }

 private:
  static Status Failed() {
    return Fail(ErrorCode::kIo, std::string("a preview can't be kept: ") + std::strerror(errno) + ".");
  }
  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_{nullptr, std::fclose};
};

// Removes what was not finished.
class Unfinished {
 public:
  explicit Unfinished(std::string path) : path_(std::move(path)) {}
  ~Unfinished() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  Status Finish(const std::string& name) const {
    std::error_code error;
    fs::remove_all(name, error);
    if (FileStepFails(FileStep::kRename, name) || std::rename(path_.c_str(), name.c_str()) != 0) {
      return Fail(ErrorCode::kIo, std::string("a preview can't be kept: ") + std::strerror(errno) + ".");
    }
    return {};
  }

 private:
  std::string path_;
};

// That it was used, for whoever looks for what was not.
void Touch(const std::string& path) { (void)utimensat(AT_FDCWD, path.c_str(), nullptr, 0); }

int64_t BytesOf(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return std::max<int64_t>(0, FileBytes(path));
  int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(path, ignored))
    bytes += std::max<int64_t>(0, FileBytes(entry.path()));
  return bytes;
}

// The place on the server's disk is no matter of a client's.
Error WithoutPath(Error error, const std::string& path) {
  for (const std::string& name : {"'" + path + "'", path}) {
    for (size_t at = error.message.find(name); at != std::string::npos; at = error.message.find(name, at)) {
      error.message.replace(at, name.size(), "the asset");
    }
  }
  return error;
}

}  // namespace

int64_t Previews::Peaks::Bins(int level) const {
  const int64_t width = PeakPyramid::FramesOf(level);
  return (frames + width - 1) / width;
}

// Where samples are read from: a file in which they have places, or what was decoded before.
struct Previews::Source {
  int sample_rate = 0, channels = 0;
  int64_t frames = 0;  // that can be read
  bool whole = true;   // more are coming otherwise
  std::unique_ptr<SoundAt> sound;
  int fd = -1;

  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source() {
    if (fd >= 0) close(fd);
  }
  Status Read(int64_t from, int64_t count, float* out) const {
    if (sound) {
      TIMBRE_TRY(const int64_t read, sound->Read(from, count, out));
      return read == count ? Status() : Fail(ErrorCode::kIo, "an asset is shorter than it was.");
    }
    auto* bytes = reinterpret_cast<char*>(out);
    int64_t left = count * channels * static_cast<int64_t>(sizeof(float));
    int64_t at = static_cast<int64_t>(sizeof(SamplesHead)) + from * channels * static_cast<int64_t>(sizeof(float));
    while (left > 0) {
      const ssize_t n = pread(fd, bytes, static_cast<size_t>(left), at);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return Fail(ErrorCode::kIo, "the samples of an asset can't be read.");
      bytes += n;
      at += n;
      left -= n;
    }
    return {};
  }
};

Result<std::unique_ptr<Previews>> Previews::Open(const AssetStore& assets, PreviewSettings settings) {
  std::unique_ptr<Previews> previews(new Previews(assets, std::move(settings)));
  TIMBRE_TRY(previews->thread_, StartThread([self = previews.get()] { self->Run(); }));
  return previews;
}

Previews::~Previews() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    asked_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

bool Previews::Stopped() {
  const std::lock_guard lock(mutex_);
  return stop_;
}

void Previews::Changed() const {
  if (settings_.changed) settings_.changed();
}

// Has it computed, unless that was found not to be possible.
Status Previews::Ask(Kind kind, const std::string& asset) {
  const Task task(kind, asset);
  const std::lock_guard lock(mutex_);
  if (const auto failure = failures_.find(task); failure != failures_.end()) {
    const ErrorCode code = failure->second.error.code;
    const bool passes = code == ErrorCode::kIo || code == ErrorCode::kOutOfMemory;
    if (!passes || Now() - failure->second.at < kForgetFaults) return tl::unexpected<Error>(failure->second.error);
    failures_.erase(failure);
  }
  if (current_ == task || std::find(tasks_.begin(), tasks_.end(), task) != tasks_.end()) return {};
  if (tasks_.size() >= kMostWaiting) {
    return Fail(ErrorCode::kIo, "too many previews are being computed; try again later.");
  }
  // Somebody waits to hear it; pictures are many and can wait.
  if (kind == Kind::kSamples) {
    tasks_.push_front(task);
  } else {
    tasks_.push_back(task);
  }
  asked_.notify_all();
  return {};
}

void Previews::Run() {
  for (;;) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      asked_.wait(lock, [&] { return stop_ || !tasks_.empty(); });
      if (stop_) return;
      task = tasks_.front();
      tasks_.pop_front();
      current_ = task;
    }
    const Status done = task.first == Kind::kPeaks ? ComputePeaks(task.second) : ComputeSamples(task.second);
    if (done) {
      Evict(task.second);
      // One that was removed meanwhile took away what there was then.
      if (FileBytes(assets_.PathOf(task.second)) < 0) assets_.RemoveDerived(task.second);
    }
    {
      const std::lock_guard lock(mutex_);
      current_.reset();
      growing_.reset();
      if (failures_.size() >= kMostFailures) failures_.clear();
      if (!done) failures_[task] = {WithoutPath(done.error(), assets_.PathOf(task.second)), Now()};
    }
    Changed();
  }
}

Status Previews::CheckRoom(int64_t bytes) const {
  if (bytes > settings_.most_bytes) {
    return Fail(ErrorCode::kUnsupported, "the asset is too long: its decoded samples take more than is kept of all.");
  }
  if (assets_.FreeBytes() >= settings_.reserve_bytes) return {};
  return Fail(ErrorCode::kIo, "the server's disk is nearly full; delete jobs, or try again later.");
}

// Removes what was used longest ago until the rest is no more than may be.
void Previews::Evict(const std::string& spared) const {
  struct Kept {
    fs::path path;
    int64_t bytes = 0;
    fs::file_time_type used;
  };
  std::vector<Kept> kept;
  int64_t bytes = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(assets_.DerivedFolder(), ignored)) {
    kept.push_back({entry.path(), BytesOf(entry.path()), entry.last_write_time(ignored)});
    bytes += kept.back().bytes;
  }
  std::sort(kept.begin(), kept.end(), [](const Kept& a, const Kept& b) { return a.used < b.used; });
  for (const Kept& old : kept) {
    if (bytes <= settings_.most_bytes) return;
    if (old.path.filename().string().starts_with(spared)) continue;
    fs::remove_all(old.path, ignored);
    bytes -= old.bytes;
  }
}

std::string Previews::PeaksPath(const std::string& asset, int level) const {
  return assets_.PeaksFolder(asset) + "/" + std::to_string(level);
}

Result<std::optional<Previews::Peaks>> Previews::FindPeaks(const std::string& asset) {
  const std::string folder = assets_.PeaksFolder(asset);
  Peaks peaks;
  std::ifstream info(folder + "/info");
  if (info >> peaks.sample_rate >> peaks.channels >> peaks.frames) {
    // Of what the system lost when it fell, sizes tell.
    bool whole = true;
    for (int i = 0; i < PeakPyramid::kLevels; ++i) {
      whole = whole && FileBytes(PeaksPath(asset, i)) == peaks.Bins(i) * peaks.channels * 2;
    }
    if (whole) {
      Touch(folder);
      return peaks;
    }
  }
  TIMBRE_CHECK(Ask(Kind::kPeaks, asset));
  return std::nullopt;
}

Status Previews::ComputePeaks(const std::string& asset) {
  TIMBRE_CHECK(CheckRoom(0));
  TIMBRE_TRY(const auto reader, AudioReader::Open(assets_.PathOf(asset), {.cancelled = [this] { return Stopped(); }}));
  const int channels = reader->info().channels;
  const Unfinished part(assets_.TemporaryPath());
  TIMBRE_CHECK(MakeFolders(part.path()));
  int64_t frames = 0;
  {
    std::vector<Scratch> files;
    files.reserve(PeakPyramid::kLevels);
    for (int i = 0; i < PeakPyramid::kLevels; ++i) files.emplace_back(part.path() + "/" + std::to_string(i));
    int64_t bytes = 0;
    PeakPyramid pyramid(channels, [&](int level, std::span<const int8_t> pairs) -> Status {
      bytes += static_cast<int64_t>(pairs.size());
      TIMBRE_CHECK(CheckRoom(bytes));
      return files[static_cast<size_t>(level)].Write(pairs.data(), pairs.size());
    });
    std::vector<float> block(static_cast<size_t>(kBlock) * channels);
    for (;;) {
      TIMBRE_TRY(const int64_t count, reader->Read(block.data(), kBlock));
      if (count == 0) break;
      TIMBRE_CHECK(pyramid.Push(block.data(), count));
    }
    TIMBRE_CHECK(pyramid.Finish());
    for (Scratch& file : files) TIMBRE_CHECK(file.Flush());
    frames = pyramid.frames();
  }
  const std::string info =
      std::to_string(reader->info().sample_rate) + " " + std::to_string(channels) + " " + std::to_string(frames) + "\n";
  {
    Scratch file(part.path() + "/info");
    TIMBRE_CHECK(file.Write(info.data(), info.size()));
    TIMBRE_CHECK(file.Flush());
  }
  return part.Finish(assets_.PeaksFolder(asset));
}

// Null where they are being decoded.
Result<std::unique_ptr<Previews::Source>> Previews::Find(const std::string& asset) {
  auto source = std::make_unique<Source>();
  source->sound = SoundAt::Open(assets_.PathOf(asset));
  if (source->sound) {
    source->sample_rate = source->sound->sample_rate();
    source->channels = source->sound->channels();
    source->frames = source->sound->frames();
    return source;
  }
  const std::string kept = assets_.SamplesPath(asset);
  source->fd = open(kept.c_str(), O_RDONLY | O_CLOEXEC);
  SamplesHead head;
  const int64_t magic = head.magic;
  if (source->fd >= 0 && pread(source->fd, &head, sizeof(head), 0) == ssize_t{sizeof(head)} && head.magic == magic &&
      FileBytes(kept) == static_cast<int64_t>(sizeof(head)) + head.frames * head.channels * 4) {
    source->sample_rate = static_cast<int>(head.sample_rate);
    source->channels = static_cast<int>(head.channels);
    source->frames = head.frames;
    Touch(kept);
    return source;
  }
  if (source->fd >= 0) close(std::exchange(source->fd, -1));
  {
    const std::lock_guard lock(mutex_);
    if (growing_ && growing_->asset == asset) {
      source->fd = open(growing_->path.c_str(), O_RDONLY | O_CLOEXEC);
      source->sample_rate = growing_->sample_rate;
      source->channels = growing_->channels;
      source->frames = growing_->frames;
      source->whole = false;
      if (source->fd >= 0) return source;
    }
  }
  TIMBRE_CHECK(Ask(Kind::kSamples, asset));
  return nullptr;
}

Status Previews::ComputeSamples(const std::string& asset) {
  TIMBRE_CHECK(CheckRoom(0));
  TIMBRE_TRY(const auto reader, AudioReader::Open(assets_.PathOf(asset), {.cancelled = [this] { return Stopped(); }}));
  SamplesHead head{.sample_rate = reader->info().sample_rate, .channels = reader->info().channels};
  const Unfinished part(assets_.TemporaryPath());
  Scratch file(part.path());
  TIMBRE_CHECK(file.Write(&head, sizeof(head)));
  const auto tell = [&]() -> Status {
    TIMBRE_CHECK(file.Flush());
    {
      const std::lock_guard lock(mutex_);
      growing_ = {asset, part.path(), reader->info().sample_rate, reader->info().channels, head.frames};
    }
    Changed();
    return {};
  };
  int64_t bytes = sizeof(head);
  auto told = std::chrono::steady_clock::now();
  std::vector<float> block(static_cast<size_t>(kBlock * head.channels));
  for (;;) {
    TIMBRE_TRY(const int64_t count, reader->Read(block.data(), kBlock));
    if (count == 0) break;
    const int64_t more = count * head.channels * static_cast<int64_t>(sizeof(float));
    TIMBRE_CHECK(CheckRoom(bytes + more));
    TIMBRE_CHECK(file.Write(block.data(), static_cast<size_t>(more)));
    bytes += more;
    head.frames += count;
    if (std::chrono::steady_clock::now() - told < kTellEvery) continue;
    TIMBRE_CHECK(tell());
    told = std::chrono::steady_clock::now();
  }
  TIMBRE_CHECK(file.Flush());
  TIMBRE_CHECK(file.Begin());
  TIMBRE_CHECK(file.Write(&head, sizeof(head)));
  TIMBRE_CHECK(file.Flush());
  return part.Finish(assets_.SamplesPath(asset));
}

Result<std::optional<Previews::Slice>> Previews::Read(const std::string& asset, int64_t from, int64_t frames,
                                                      int rate) {
  TIMBRE_TRY(const std::unique_ptr<Source> source, Find(asset));
  if (!source) return std::nullopt;
  const int64_t in_rate = source->sample_rate, out_rate = rate > 0 ? rate : in_rate;
  if (frames > kMostSeconds * out_rate || frames * source->channels > kMostSamples) {
    return Fail(ErrorCode::kInvalidArgument, "a slice is at most " + std::to_string(kMostSeconds) + " seconds, and " +
                                                 std::to_string(kMostSamples) + " samples of all channels.");
  }
  Slice slice{.sample_rate = static_cast<int>(out_rate), .channels = source->channels};
  // The stretch of the source begins where frames of both rates coincide, so that every slice lies on the same grid.
  const int64_t common = std::gcd(in_rate, out_rate), in_step = in_rate / common, out_step = out_rate / common;
  const bool resamples = in_rate != out_rate;
  const int64_t steps = resamples ? std::max<int64_t>(0, from / out_step - (kMargin + in_step - 1) / in_step) : 0;
  const int64_t begin = resamples ? steps * in_step : from;
  const int64_t skip = resamples ? from - steps * out_step : 0;
  const int64_t wanted = resamples ? (skip + frames) * in_rate / out_rate + kMargin : frames;
  if (!source->whole && begin + wanted > source->frames) return std::nullopt;
  const int64_t count = std::clamp<int64_t>(source->frames - begin, 0, wanted);
  std::vector<float> in(static_cast<size_t>(count * source->channels));
  TIMBRE_CHECK(source->Read(begin, count, in.data()));
  if (!resamples) {
    slice.samples = std::move(in);
    return slice;
  }
  int64_t total = skip + frames;
  if (begin + count >= source->frames) {
    total = std::min(
        total, ResampledLength(source->frames, source->sample_rate, static_cast<int>(out_rate)) - steps * out_step);
  }
  if (total <= skip || count == 0) return slice;
  TIMBRE_TRY(Resampler resampler, Resampler::Create(source->sample_rate, static_cast<int>(out_rate), source->channels));
  TIMBRE_CHECK(resampler.Push(in.data(), count, &slice.samples));
  TIMBRE_CHECK(
      resampler.Finish(&slice.samples, std::max(total, static_cast<int64_t>(slice.samples.size()) / source->channels)));
  slice.samples.resize(static_cast<size_t>(total * source->channels));
  slice.samples.erase(slice.samples.begin(), slice.samples.begin() + skip * source->channels);
  return slice;
}

}  // namespace timbre::engine
