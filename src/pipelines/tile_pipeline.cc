#include "pipelines/tile_pipeline.h"

#include <algorithm>
#include <memory>
#include <string>

#include "dsp/overlap_add.h"
#include "pipelines/check_finite.h"

namespace timbre {
namespace {

// The part of the track that tiles still need.
struct Window {
  int64_t begin = 0;
  int channels = 0;
  std::vector<float> samples;

  int64_t end() const { return begin + static_cast<int64_t>(samples.size()) / channels; }

  Status ReadTo(int64_t position, const SampleSource& source) {
    while (end() < position) {
      const size_t before = samples.size();
      TIMBRE_CHECK(source(&samples));
      if (samples.size() == before) {
        return Fail(ErrorCode::kInternal,
                    "the track ended at sample " + std::to_string(end()) + ", earlier than at first");
      }
    }
    return {};
  }

  void DropBefore(int64_t position) {
    const int64_t count = std::clamp<int64_t>(position - begin, 0, end() - begin);
    samples.erase(samples.begin(), samples.begin() + count * channels);
    begin += count;
  }
};

// One member on its way through the track.
class Run {
 public:
  explicit Run(const TileMember& member)
      : member_(member), sum_(*member.plan, member.runner->features()), features_(member.runner->features()) {
    member.runner->Abandon();  // what another track left there
  }

  bool done() const { return next_ == tiles().size() && member_.runner->started() == 0; }
  // Samples whose result is complete, counted from the track's begin; those that were taken included.
  int64_t finished() const { return taken_ + static_cast<int64_t>(pending_.size()) / features_; }
  // The first sample that is still needed.
  int64_t needed() const { return next_ == tiles().size() ? member_.plan->length : tiles()[next_].first; }

  Status Step(Window& window, const SampleSource& source, const TileDone& tile_done) {
    TileRunner& runner = *member_.runner;
    const TilePlan& plan = *member_.plan;
    const int channels = window.channels;
    const auto count_at = [&](size_t first) {
      return static_cast<int>(std::min<size_t>(runner.batch(), tiles().size() - first));
    };
    // While the device computes, the tiles before are added up and the ones after gathered.
    while (next_ < tiles().size() && runner.started() < runner.in_flight()) {
      const int count = count_at(next_);
      for (int i = 0; i < count; ++i) {
        const Tile& tile = tiles()[next_ + i];
        TIMBRE_CHECK(window.ReadTo(tile.last, source));
        GatherTile(plan, tile, window.samples.data(), window.begin, channels, runner.Input(i));
      }
      TIMBRE_CHECK(runner.Start(plan, next_, count));
      next_ += count;
    }
    TIMBRE_CHECK(runner.Finish());
    const int count = count_at(added_);
    for (int i = 0; i < count; ++i) {
      TIMBRE_CHECK(sum_.Add(runner.Output(i), &pending_));
      TIMBRE_CHECK(tile_done());
    }
    added_ += count;
    return {};
  }

  // Adds the next `frames` results to out [frames, outputs * channels], and forgets them.
  void Take(int64_t frames, int channels, size_t outputs, float* out) {
    const size_t stems = member_.gains.size() / outputs;
    for (size_t o = 0; o < outputs; ++o) {
      for (size_t s = 0; s < stems; ++s) {
        const float gain = member_.gains[o * stems + s];
        if (gain == 0) continue;
        for (int64_t i = 0; i < frames; ++i) {
          for (int c = 0; c < channels; ++c) {
            out[(i * outputs + o) * channels + c] += gain * pending_[i * features_ + s * channels + c];
          }
        }
      }
    }
    pending_.erase(pending_.begin(), pending_.begin() + frames * features_);
    taken_ += frames;
  }

 private:
  const std::vector<Tile>& tiles() const { return member_.plan->tiles; }

  const TileMember& member_;
  OverlapAdd sum_;
  const int64_t features_;
  size_t next_ = 0, added_ = 0;  // tiles that were started, and added up
  int64_t taken_ = 0;
  std::vector<float> pending_;
};

}  // namespace

Status RunTiles(std::span<const TileMember> members, const SampleSource& source, const SampleSink& sink,
                const TileDone& tile_done) {
  const SeparationInfo& info = members.front().runner->model().info();
  const size_t outputs = members.front().gains.size() / info.stems.size();
  const size_t width = outputs * info.channels;
  const int64_t length = members.front().plan->length;
  std::vector<std::unique_ptr<Run>> runs;
  for (const TileMember& member : members) runs.push_back(std::make_unique<Run>(member));
  Window window{.begin = 0, .channels = info.channels, .samples = {}};
  std::vector<float> block;
  const auto behind = [](const auto& a, const auto& b) { return a->finished() < b->finished(); };
  for (int64_t position = 0; position < length;) {
    Run& last = **std::min_element(runs.begin(), runs.end(), behind);
    if (last.done()) return Fail(ErrorCode::kInternal, "the tiles end before the track does");
    TIMBRE_CHECK(last.Step(window, source, tile_done));
    int64_t needed = length;
    for (const auto& run : runs) needed = std::min(needed, run->needed());
    window.DropBefore(needed);

    const int64_t frames = (*std::min_element(runs.begin(), runs.end(), behind))->finished() - position;
    if (frames == 0) continue;
    block.assign(frames * width, 0.0f);
    for (const auto& run : runs) run->Take(frames, info.channels, outputs, block.data());
    TIMBRE_CHECK(CheckFinite(
        block, "the network's result is not finite near " + std::to_string(position / info.sample_rate) +
                   " s of the track, which is either far too loud there, or a kernel is wrong here (timbre doctor)"));
    TIMBRE_CHECK(sink(block.data(), frames));
    position += frames;
  }
  return {};
}

}  // namespace timbre
