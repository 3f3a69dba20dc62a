#include "dsp/tile_plan.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

namespace timbre {
namespace {

using Window = std::shared_ptr<const std::vector<float>>;

// Far above any track and any tile, far below what could overflow or fill the memory.
constexpr int64_t kMaxLength = int64_t{1} << 48;
constexpr int64_t kMaxTile = int64_t{1} << 31;
constexpr int64_t kMaxTiles = int64_t{1} << 22;

Status CheckSizes(int64_t length, int64_t tile, int64_t step, int64_t layers) {
  if (length < 0 || length > kMaxLength) {
    return Fail(ErrorCode::kInvalidArgument, "A track of " + std::to_string(length) + " samples cannot be tiled.");
  }
  if (tile < 1 || tile > kMaxTile || step < 1 || step > tile) {
    return Fail(ErrorCode::kInvalidArgument, "Tiles of " + std::to_string(tile) + " samples every " +
                                                 std::to_string(step) +
                                                 " were asked for; the step must be from 1 to the tile's length.");
  }
  if ((length + tile) / step > kMaxTiles / layers) {
    return Fail(ErrorCode::kInvalidArgument, "A track of " + std::to_string(length) + " samples in tiles every " +
                                                 std::to_string(step) + " makes too many tiles; use a larger step.");
  }
  return {};
}

// A run of input samples [to, to + count), of which input i is the signal's sample from + i * step; cut to the signal.
void AddRun(Tile* tile, int64_t length, int64_t to, int64_t from, int64_t count, int step) {
  if (step > 0) {
    const int64_t skip = std::max<int64_t>(0, -from);
    to += skip, from += skip, count = std::min(count - skip, length - from);
  } else {
    const int64_t skip = std::max<int64_t>(0, from - (length - 1));
    to += skip, from -= skip, count = std::min(count - skip, from + 1);
  }
  if (count <= 0) return;
  const int64_t first = step > 0 ? from : from - count + 1;
  tile->first = tile->input.empty() ? first : std::min(tile->first, first);
  tile->last = tile->input.empty() ? first + count : std::max(tile->last, first + count);
  tile->input.push_back({to, from, count, step});
}

// Where `valid` samples of a tile, from its output sample `trim` on, that lie at `begin` of the signal enter it.
// False where they lie beyond it.
bool Place(Tile* tile, int64_t length, int64_t begin, int64_t trim, int64_t valid) {
  const int64_t cut = std::max<int64_t>(0, -begin);
  tile->begin = begin + cut;
  tile->trim = trim + cut;
  tile->weight_begin = cut;
  tile->length = std::min(begin + valid, length) - tile->begin;
  return tile->length > 0;
}

void Order(TilePlan* plan) {
  std::vector<Tile>& tiles = plan->tiles;
  std::stable_sort(tiles.begin(), tiles.end(), [](const Tile& a, const Tile& b) { return a.begin < b.begin; });
  for (size_t i = tiles.size(); i-- > 1;) tiles[i - 1].first = std::min(tiles[i - 1].first, tiles[i].first);
  for (size_t i = 1; i < tiles.size(); ++i) tiles[i].last = std::max(tiles[i].last, tiles[i - 1].last);
}

}  // namespace

Result<TilePlan> PlanCentred(int64_t length, int64_t tile, double overlap, double transition_power,
                             std::span<const int64_t> shifts) {
  if (!(overlap >= 0 && overlap < 1)) {
    return Fail(ErrorCode::kInvalidArgument,
                "An overlap of " + std::to_string(overlap) + " was asked for; it must be at least 0 and below 1.");
  }
  if (!(transition_power >= 1 && transition_power <= 1e6)) {
    return Fail(ErrorCode::kInvalidArgument, "A transition power of " + std::to_string(transition_power) +
                                                 " was asked for; it must be from 1 to 1000000.");
  }
  const int64_t step =
      tile < 1 || tile > kMaxTile ? 0 : static_cast<int64_t>((1 - overlap) * static_cast<double>(tile));
  const int64_t no_shift = 0;
  if (shifts.empty()) shifts = {&no_shift, 1};
  TIMBRE_CHECK(CheckSizes(length, tile, step, static_cast<int64_t>(shifts.size())));

  const int64_t half = tile / 2;
  std::vector<float> triangle(tile);
  for (int64_t i = 0; i < tile; ++i) {
    const double height = static_cast<double>(i < half ? i + 1 : tile - i) / static_cast<double>(tile - half);
    // A steep power must not round a weight to zero: at the very ends of a track it is the only one.
    triangle[i] = std::max(static_cast<float>(std::pow(height, transition_power)), 1e-30f);
  }
  const Window window = std::make_shared<const std::vector<float>>(std::move(triangle));

  TilePlan plan{.length = length, .tile = tile, .layers = static_cast<int>(shifts.size())};
  for (size_t layer = 0; layer < shifts.size() && length > 0; ++layer) {
    const int64_t shift = shifts[layer];
    if (shift < 0 || shift > kMaxTile) {
      return Fail(ErrorCode::kInvalidArgument, "A shift of " + std::to_string(shift) + " samples was asked for.");
    }
    for (int64_t begin = -shift; begin < length; begin += step) {
      const int64_t valid = std::min(tile, length - begin);
      const int64_t trim = (tile - valid) / 2;
      Tile t{.layer = static_cast<int>(layer), .weight = window, .envelope = window};
      if (!Place(&t, length, begin, trim, valid)) continue;
      AddRun(&t, length, 0, begin - trim, tile, 1);
      plan.tiles.push_back(std::move(t));
    }
  }
  Order(&plan);
  return plan;
}

Result<TilePlan> PlanFaded(int64_t length, int64_t tile, int64_t step, int64_t fade, int batch) {
  TIMBRE_CHECK(CheckSizes(length, tile, step, 1));
  if (fade < 0 || 2 * fade > tile || batch < 1) {
    return Fail(ErrorCode::kInvalidArgument, "Fades of " + std::to_string(fade) + " samples in batches of " +
                                                 std::to_string(batch) + " do not fit tiles of " +
                                                 std::to_string(tile) + ".");
  }
  // Tiles that don't overlap can't fade: the reference gives 0 / 0 where they meet.
  if (step == tile) fade = 0;
  // With a larger batch the reference fades the first tile like any other. Its first sample would then have no weight
  // at all, so that one is kept.
  const int64_t open = batch == 1 ? fade : std::min<int64_t>(fade, 1);
  const auto make_window = [&](bool first, bool last) {
    std::vector<float> window(tile, 1.0f);
    for (int64_t i = 0; i < fade; ++i) {
      const float weight = fade > 1 ? static_cast<float>(static_cast<double>(i) / static_cast<double>(fade - 1)) : 0.0f;
      if (!first || i >= open) window[i] = weight;
      if (!last) window[tile - 1 - i] = weight;
    }
    return std::make_shared<const std::vector<float>>(std::move(window));
  };
  const Window middle = make_window(false, false), last = make_window(false, true);

  const int64_t border = tile - step;
  const int64_t extension = length > 2 * border ? border : 0;
  const int64_t span = length + 2 * extension;
  const int64_t count = (span + step - 1) / step;
  const int64_t last_batch = (count - 1) / batch * batch;
  TilePlan plan{.length = length, .tile = tile};
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = i * step - extension;
    const int64_t valid = std::min(tile, length + extension - begin);
    Tile t{.weight = i == 0 ? make_window(true, last_batch == 0) : i >= last_batch ? last : middle};
    t.envelope = t.weight;
    // A tile that lies in the extension alone gives nothing.
    if (!Place(&t, length, begin, 0, valid)) continue;
    // The valid part, each end of the track mirrored; then the rest of the tile, which mirrors the valid part, and so
    // where that is mirrored itself runs forwards again.
    const auto add = [&](int64_t to, int64_t position, int64_t n, bool mirrored) {
      // Samples [position, position + n) of the extended track, backwards where mirrored.
      const int64_t cuts[4] = {position, std::clamp<int64_t>(0, position, position + n),
                               std::clamp(length, position, position + n), position + n};
      for (int part = 0; part < 3; ++part) {
        const int64_t a = cuts[part], b = cuts[part + 1];
        if (a == b) continue;
        const auto source = [&](int64_t p) { return part == 0 ? -p : part == 1 ? p : 2 * (length - 1) - p; };
        const int64_t at = mirrored ? to + (position + n - b) : to + (a - position);
        AddRun(&t, length, at, source(mirrored ? b - 1 : a), b - a, (part == 1) != mirrored ? 1 : -1);
      }
    };
    add(0, begin, valid, false);
    if (const int64_t rest = tile - valid; rest > 0 && valid > tile / 2)
      add(valid, begin + valid - 1 - rest, rest, true);
    plan.tiles.push_back(std::move(t));
  }
  Order(&plan);
  return plan;
}

Result<TilePlan> PlanHamming(int64_t length, int64_t tile, int64_t step) {
  TIMBRE_CHECK(CheckSizes(length, tile, step, 1));
  const auto make_window = [&](double times) {
    std::vector<float> window(tile);
    const double turn = 2 * std::numbers::pi / static_cast<double>(std::max<int64_t>(1, tile - 1));
    for (int64_t i = 0; i < tile; ++i) {
      window[i] = static_cast<float>(times * (0.54 - 0.46 * std::cos(turn * static_cast<double>(i))));
    }
    return std::make_shared<const std::vector<float>>(std::move(window));
  };
  TilePlan plan{.length = length, .tile = tile};
  const auto add = [&](int64_t begin, const Window& window) {
    Tile t{.weight = window, .envelope = window};
    if (!Place(&t, length, begin, 0, tile)) return;
    AddRun(&t, length, 0, begin, tile, 1);
    plan.tiles.push_back(std::move(t));
  };
  const Window once = make_window(1);
  int64_t begin = 0;
  for (; begin + tile <= length; begin += step) add(begin, once);
  const int64_t beyond = begin < length ? (length - begin + step - 1) / step : 0;
  if (beyond > 0) add(std::max<int64_t>(0, length - tile), make_window(static_cast<double>(beyond)));
  Order(&plan);
  return plan;
}

Result<TilePlan> PlanEven(int64_t length, int64_t tile, int64_t step) {
  TIMBRE_CHECK(CheckSizes(length, tile, step, 1));
  const Window ones = std::make_shared<const std::vector<float>>(tile, 1.0f);
  TilePlan plan{.length = length, .tile = tile};
  for (int64_t begin = 0; begin < length; begin += step) {
    Tile t{.weight = ones, .envelope = ones};
    if (!Place(&t, length, begin, 0, tile)) continue;
    AddRun(&t, length, 0, begin, tile, 1);
    plan.tiles.push_back(std::move(t));
  }
  Order(&plan);
  return plan;
}

Result<TilePlan> PlanContext(int64_t length, int64_t step, int64_t context) {
  if (step < 1 || context < 0 || step > kMaxTile || context > kMaxTile) {
    return Fail(ErrorCode::kInvalidArgument, "Tiles of " + std::to_string(step) + " samples with a context of " +
                                                 std::to_string(context) + " were asked for.");
  }
  const int64_t tile = step + 2 * context;
  TIMBRE_CHECK(CheckSizes(length, tile, step, 1));
  const Window ones = std::make_shared<const std::vector<float>>(step, 1.0f);
  TilePlan plan{.length = length, .tile = tile};
  for (int64_t begin = 0; begin < length; begin += step) {
    Tile t{.weight = ones, .envelope = ones};
    Place(&t, length, begin, context, step);
    AddRun(&t, length, 0, begin - context, tile, 1);
    plan.tiles.push_back(std::move(t));
  }
  Order(&plan);
  return plan;
}

Status TileFactors(const TilePlan& plan, size_t index, std::span<float> out) {
  const Tile& tile = plan.tiles[index];
  const int64_t end = tile.begin + tile.length;
  std::fill_n(out.begin(), tile.length, 0.0f);
  const auto add = [&](const Tile& other) {
    if (other.layer != tile.layer) return;
    const float* envelope = other.envelope->data() + other.weight_begin;
    const int64_t to = std::min(end, other.begin + other.length);
    for (int64_t i = std::max(tile.begin, other.begin); i < to; ++i) out[i - tile.begin] += envelope[i - other.begin];
  };
  // By `begin`, and none is longer than plan.tile: the tiles that overlap this one are its neighbours.
  for (size_t i = index; i-- > 0 && plan.tiles[i].begin + plan.tile > tile.begin;) add(plan.tiles[i]);
  for (size_t i = index; i < plan.tiles.size() && plan.tiles[i].begin < end; ++i) add(plan.tiles[i]);
  const float* weight = tile.weight->data() + tile.weight_begin;
  for (int64_t i = 0; i < tile.length; ++i) {
    if (!(out[i] > 0)) {
      return Fail(ErrorCode::kInternal, "No tile covers sample " + std::to_string(tile.begin + i) + " of the track.");
    }
    out[i] = weight[i] / out[i] / static_cast<float>(plan.layers);
  }
  return {};
}

void GatherTile(const TilePlan& plan, const Tile& tile, const float* signal, int64_t signal_begin, int channels,
                float* out) {
  std::fill_n(out, plan.tile * channels, 0.0f);
  for (const TileRun& run : tile.input) {
    float* to = out + run.to * channels;
    const float* from = signal + (run.from - signal_begin) * channels;
    if (run.step > 0) {
      std::copy_n(from, run.count * channels, to);
      continue;
    }
    for (int64_t i = 0; i < run.count; ++i) std::copy_n(from - i * channels, channels, to + i * channels);
  }
}

}  // namespace timbre
