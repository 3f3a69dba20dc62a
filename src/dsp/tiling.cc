#include "dsp/tiling.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace timbre {
namespace {

// Mirrors a position into [0, samples).
int64_t Reflect(int64_t position, int64_t samples) {
  if (position < 0) position = -position;
  return position < samples ? position : 2 * (samples - 1) - position;
}

}  // namespace

TilingOptions DemucsTiling(int64_t tile, double overlap, double transition_power, int64_t lead) {
  const bool possible = overlap >= 0 && overlap < 1;
  TilingOptions options{.tile = tile, .lead = lead};
  if (possible) options.step = static_cast<int64_t>((1 - overlap) * static_cast<double>(tile));
  const int64_t half = tile / 2;
  const double peak = static_cast<double>(tile - half);
  options.window.resize(std::max<int64_t>(tile, 0));
  for (int64_t i = 0; i < tile; ++i) {
    const double height = static_cast<double>(i < half ? i + 1 : tile - i);
    options.window[i] = static_cast<float>(std::pow(height / peak, transition_power));
  }
  return options;
}

TilingOptions DemixTiling(int64_t tile, int64_t overlaps, int64_t samples, int64_t batch) {
  TilingOptions options{.tile = tile, .step = overlaps > 0 ? tile / overlaps : 0, .last = LastTile::kMirror};
  const int64_t border = tile - options.step;
  if (samples > 2 * border) {
    options.lead = options.tail = border;
    options.beyond = BeyondTrack::kReflect;
  }
  options.window.assign(std::max<int64_t>(tile, 0), 1.0f);
  // Tiles that don't overlap can't fade: the reference gives 0 where they meet.
  const int64_t fade = overlaps > 1 ? tile / 10 : 0;
  for (int64_t i = 0; i < fade; ++i) {
    // From 0 to 1, both included.
    const float weight = fade > 1 ? static_cast<float>(static_cast<double>(i) / static_cast<double>(fade - 1)) : 0.0f;
    options.window[i] = weight;
    options.window[tile - 1 - i] = weight;
  }
  options.edge_fade = fade;
  options.edge_group = batch;
  return options;
}

Result<TilePlan> TilePlan::Create(TilingOptions options, int64_t samples) {
  // Far above any track and any tile, far below what could overflow.
  constexpr int64_t kMaxSamples = int64_t{1} << 48, kMaxTile = int64_t{1} << 31;
  if (samples < 0 || samples > kMaxSamples) {
    return Fail(ErrorCode::kInvalidArgument, "A track of " + std::to_string(samples) + " samples cannot be tiled.");
  }
  if (options.tile < 1 || options.tile > kMaxTile || options.step < 1 || options.step > options.tile) {
    return Fail(ErrorCode::kInvalidArgument, "Tiles of " + std::to_string(options.tile) + " samples every " +
                                                 std::to_string(options.step) +
                                                 " were asked for; the step must be from 1 to the tile's length.");
  }
  if (static_cast<int64_t>(options.window.size()) != options.tile) {
    return Fail(ErrorCode::kInvalidArgument, "A window of " + std::to_string(options.window.size()) +
                                                 " samples does not fit tiles of " + std::to_string(options.tile) +
                                                 ".");
  }
  const bool reflects = options.beyond == BeyondTrack::kReflect && samples > 0;
  if (options.lead < 0 || options.tail < 0 || options.lead > kMaxTile || options.tail > kMaxTile ||
      (reflects && std::max(options.lead, options.tail) >= samples)) {
    return Fail(ErrorCode::kInvalidArgument, "A track of " + std::to_string(samples) +
                                                 " samples cannot be extended by " + std::to_string(options.lead) +
                                                 " before and " + std::to_string(options.tail) + " behind.");
  }
  if (reflects && options.last == LastTile::kCenter) {
    return Fail(ErrorCode::kInvalidArgument, "A last tile that is centered cannot reach into a reflected track.");
  }
  if (options.edge_fade < 0 || 2 * options.edge_fade > options.tile || options.edge_group < 1) {
    return Fail(ErrorCode::kInvalidArgument, "A fade of " + std::to_string(options.edge_fade) +
                                                 " samples in groups of " + std::to_string(options.edge_group) +
                                                 " does not fit tiles of " + std::to_string(options.tile) + ".");
  }
  TilePlan plan(std::move(options), samples);
  if (samples == 0) return plan;
  const TilingOptions& o = plan.options_;
  plan.total_ = (plan.Span() + o.step - 1) / o.step;
  // The first tile whose end lies behind the track's begin, and the first whose begin lies behind the track's end.
  plan.first_ = o.lead < o.tile ? 0 : (o.lead - o.tile) / o.step + 1;
  plan.last_ = std::min(plan.total_, (o.lead + samples - 1) / o.step + 1);
  return plan;
}

int64_t TilePlan::WriteBegin(int64_t index) const {
  return std::max<int64_t>(0, index * options_.step - options_.lead);
}

Tile TilePlan::at(int64_t i) const {
  const int64_t index = first_ + i;
  const int64_t offset = index * options_.step;  // on the timeline
  Tile tile;
  tile.index = i;
  tile.valid = std::min(options_.tile, Span() - offset);
  const int64_t trim = options_.last == LastTile::kCenter ? (options_.tile - tile.valid) / 2 : 0;
  const int64_t begin = offset - options_.lead;
  tile.start = begin - trim;
  tile.write_begin = WriteBegin(index);
  tile.write_end = std::min(samples_, begin + tile.valid);
  tile.done = index + 1 < last_ ? WriteBegin(index + 1) : samples_;
  tile.output_begin = tile.write_begin - tile.start;
  tile.window_begin = tile.write_begin - begin;

  // A reflecting tile reads up to `lead` or `tail` samples on the inner side of the edge.
  int64_t from = tile.start, to = tile.start + (options_.last == LastTile::kMirror ? tile.valid : options_.tile);
  if (options_.beyond == BeyondTrack::kReflect) {
    if (from < 0) to = std::max(to, -from + 1);
    from = std::min(from, samples_ - 1 - options_.tail);
  }
  tile.read_begin = std::clamp<int64_t>(from, 0, samples_);
  tile.read_end = std::clamp<int64_t>(to, 0, samples_);

  if (options_.edge_fade > 0) {
    tile.flat_begin = index == 0;
    tile.flat_end = index >= (total_ - 1) / options_.edge_group * options_.edge_group;
  }
  return tile;
}

void TilePlan::Gather(const Tile& tile, int64_t source_begin, const float* source, float* out) const {
  const auto track = [&](int64_t position) { return source + (position - source_begin); };
  const bool reflect = options_.beyond == BeyondTrack::kReflect;
  const bool mirror = options_.last == LastTile::kMirror;
  const int64_t filled = mirror ? tile.valid : options_.tile;  // samples that the timeline itself gives
  const int64_t inside_begin = std::clamp<int64_t>(-tile.start, 0, filled);
  const int64_t inside_end = std::clamp<int64_t>(samples_ - tile.start, inside_begin, filled);
  const auto beyond = [&](int64_t i) { return reflect ? *track(Reflect(tile.start + i, samples_)) : 0.0f; };
  for (int64_t i = 0; i < inside_begin; ++i) out[i] = beyond(i);
  if (inside_begin < inside_end) {
    std::copy(track(tile.start + inside_begin), track(tile.start + inside_end), out + inside_begin);
  }
  for (int64_t i = inside_end; i < filled; ++i) out[i] = beyond(i);
  const bool enough = tile.valid > options_.tile / 2;
  for (int64_t i = filled; i < options_.tile; ++i) out[i] = enough ? out[2 * (filled - 1) - i] : 0.0f;
}

void TilePlan::Weights(const Tile& tile, std::vector<float>* out) const {
  const int64_t end = tile.window_begin + tile.write_end - tile.write_begin;
  out->assign(options_.window.begin() + tile.window_begin, options_.window.begin() + end);
  const auto flatten = [&](int64_t from, int64_t to) {
    for (int64_t i = std::max(from, tile.window_begin); i < std::min(to, end); ++i)
      (*out)[i - tile.window_begin] = 1.0f;
  };
  // With a larger batch the reference fades the first tile too, and so leaves the very first sample 0 / 0.
  if (tile.flat_begin) flatten(0, options_.edge_group == 1 ? options_.edge_fade : 1);
  if (tile.flat_end) flatten(options_.tile - options_.edge_fade, options_.tile);
}

Result<int64_t> OverlapAdd::Add(const Tile& tile, const std::vector<float>& weights, const float* output,
                                int64_t output_stride, float* out, int64_t out_stride) {
  const int64_t count = tile.write_end - tile.write_begin;
  const int64_t finished = tile.done - position_;
  if (tile.write_begin != position_ || count < 0 || count > tile_ || finished < 0 || finished > tile_ ||
      static_cast<int64_t>(weights.size()) != count) {
    return Fail(ErrorCode::kInternal, "Tile " + std::to_string(tile.index) + " was added out of order.");
  }
  float* weight_sums = sums_.data() + channels_ * tile_;
  for (int64_t i = 0; i < count; ++i) weight_sums[i] += weights[i];
  for (int64_t i = 0; i < finished; ++i) {
    if (!(weight_sums[i] > 0)) {
      return Fail(ErrorCode::kInternal, "No tile covers sample " + std::to_string(position_ + i) + ".");
    }
  }
  for (int64_t c = 0; c < channels_; ++c) {
    float* sums = sums_.data() + c * tile_;
    const float* from = output + c * output_stride + tile.output_begin;
    float* to = out + c * out_stride;
    for (int64_t i = 0; i < count; ++i) sums[i] += weights[i] * from[i];
    for (int64_t i = 0; i < finished; ++i) to[i] = sums[i] / weight_sums[i];
  }
  for (int64_t c = 0; c <= channels_; ++c) {
    float* row = sums_.data() + c * tile_;
    std::copy(row + finished, row + tile_, row);
    std::fill(row + tile_ - finished, row + tile_, 0.0f);
  }
  position_ = tile.done;
  return finished;
}

void SampleWindow::Append(const float* const* planes, int64_t frames) {
  // Dropped samples leave memory once they outnumber those in use: each sample is moved once on average.
  const bool drop = skip_ > end() - begin_;
  for (size_t c = 0; c < planes_.size(); ++c) {
    std::vector<float>& plane = planes_[c];
    if (drop) plane.erase(plane.begin(), plane.begin() + skip_);
    plane.insert(plane.end(), planes[c], planes[c] + frames);
  }
  if (drop) skip_ = 0;
}

void SampleWindow::DropBefore(int64_t position) {
  position = std::min(position, end());
  if (position <= begin_) return;
  skip_ += position - begin_;
  begin_ = position;
}

}  // namespace timbre
