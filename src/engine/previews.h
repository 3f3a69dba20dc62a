// What a page shows and plays of an asset without decoding it: extremes for a picture of the wave, and samples from
// anywhere in it. Computed once by a thread of its own, in memory that does not grow with the asset, and kept beside
// the assets for as long as there is room: whatever goes can be computed again.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/assets.h"

namespace timbre::engine {

struct PreviewSettings {
  int64_t most_bytes = int64_t{4} << 30;     // of all that is kept; what was used longest ago goes first
  int64_t reserve_bytes = int64_t{2} << 30;  // of the disk, left free
  // From the thread that computes, whenever there is more than before. Not to come back here.
  std::function<void()> changed = {};
};

// Thread-safe. `assets` must outlive it.
class Previews {
 public:
  static Result<std::unique_ptr<Previews>> Open(const AssetStore& assets, PreviewSettings settings);
  ~Previews();

  // Of the levels of PeakPyramid, each a file of its own.
  struct Peaks {
    int sample_rate = 0, channels = 0;
    int64_t frames = 0;
    int64_t Bins(int level) const;
  };
  // Nothing where they are being computed: `changed` says when to ask again. Fails where the asset can't be decoded to
  // its end, the disk is full or as much is waiting already as may wait (both kIo).
  Result<std::optional<Peaks>> FindPeaks(const std::string& asset);
  std::string PeaksPath(const std::string& asset, int level) const;

  struct Slice {
    int sample_rate = 0, channels = 0;
    std::vector<float> samples;  // interleaved
  };
  static constexpr int kMostSeconds = 10;
  static constexpr int kLeastRate = 8000, kMostRate = 192000;
  // So many frames from `from` on, both counted at `rate`, 0 for the asset's own; fewer only at the asset's end. Slices
  // that adjoin fit together, resampled ones to the last bits. Nothing and failures as above; kInvalidArgument where
  // that is more than kMostSeconds.
  Result<std::optional<Slice>> Read(const std::string& asset, int64_t from, int64_t frames, int rate);

 private:
  enum class Kind : uint8_t { kPeaks, kSamples };
  using Task = std::pair<Kind, std::string>;  // of an asset
  struct Source;
  struct Growing {
    std::string asset, path;
    int sample_rate = 0, channels = 0;
    int64_t frames = 0;  // that can be read
  };
  struct Failure {
    Error error;
    int64_t at = 0;  // Now()
  };

  Previews(const AssetStore& assets, PreviewSettings settings) : assets_(assets), settings_(std::move(settings)) {}
  Status Ask(Kind kind, const std::string& asset);
  Result<std::unique_ptr<Source>> Find(const std::string& asset);
  void Run();
  Status ComputePeaks(const std::string& asset);
  Status ComputeSamples(const std::string& asset);
  Status CheckRoom(int64_t bytes) const;
  void Evict(const std::string& spared) const;
  bool Stopped();
  void Changed() const;

  const AssetStore& assets_;
  const PreviewSettings settings_;
  std::thread thread_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable asked_;
  std::deque<Task> tasks_;
  std::optional<Task> current_;
  std::optional<Growing> growing_;
  std::map<Task, Failure> failures_;
  bool stop_ = false;
};

}  // namespace timbre::engine
