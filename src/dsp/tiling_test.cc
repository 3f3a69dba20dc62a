#include "dsp/tiling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace timbre {
namespace {

using Array = std::vector<float>;

Array Noise(int64_t n, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  Array x(n);
  for (float& v : x) v = uniform(random);
  return x;
}

// A stand-in for a model: each output depends on its place in the tile and on its neighbours, so that a tile shifted or
// padded otherwise gives something else.
Array Model(const Array& in) {
  const int64_t n = static_cast<int64_t>(in.size());
  Array out(n);
  for (int64_t i = 0; i < n; ++i) {
    out[i] = 0.5f * in[i] + 0.3f * in[(i + 7) % n] - 0.2f * in[(i + n - 5) % n] +
             0.1f * std::sin(0.05f * static_cast<float>(i));
  }
  return out;
}

struct TiledRun {
  Array out;
  int64_t widest = 0;  // most samples of the track held at once
};

// The flow that the header describes, the source arriving in pieces of `piece` samples.
TiledRun RunTiled(const TilePlan& plan, const Array& track, int64_t piece) {
  TiledRun run;
  const int64_t tile_size = plan.options().tile;
  SampleWindow source(1);
  OverlapAdd overlap_add(2, tile_size);
  Array input(tile_size), finished(2 * tile_size), weights;
  int64_t previous_read = 0;
  for (int64_t i = 0; i < plan.count(); ++i) {
    const Tile tile = plan.at(i);
    EXPECT_GE(tile.read_begin, previous_read);
    EXPECT_LT(tile.write_begin, tile.write_end);
    previous_read = tile.read_begin;
    source.DropBefore(tile.read_begin);
    while (source.end() < tile.read_end) {
      const float* from = track.data() + source.end();
      source.Append(&from, std::min<int64_t>(piece, static_cast<int64_t>(track.size()) - source.end()));
    }
    run.widest = std::max(run.widest, tile.read_end - source.begin());
    plan.Gather(tile, source.begin(), source.channel(0), input.data());
    Array output = Model(input);
    for (int64_t j = 0; j < tile_size; ++j) output.push_back(-2 * output[j]);  // a second channel
    plan.Weights(tile, &weights);
    auto count = overlap_add.Add(tile, weights, output.data(), tile_size, finished.data(), tile_size);
    EXPECT_TRUE(count) << count.error().message;
    if (!count) return run;
    run.out.insert(run.out.end(), finished.begin(), finished.begin() + *count);
    for (int64_t j = 0; j < *count; ++j) EXPECT_FLOAT_EQ(finished[tile_size + j], -2 * finished[j]);
  }
  return run;
}

// apply_model(split=True) of demucs on a whole array, in float64 sums.
Array DemucsReference(const Array& mix, int64_t segment, double overlap, double power, int64_t lead) {
  const int64_t total = static_cast<int64_t>(mix.size()), length = total + lead;
  const auto stride = static_cast<int64_t>((1 - overlap) * segment);
  std::vector<double> weight, out(length), sum(length);
  for (int64_t i = 1; i <= segment / 2; ++i) weight.push_back(i);
  for (int64_t i = segment - segment / 2; i > 0; --i) weight.push_back(i);
  const double peak = *std::max_element(weight.begin(), weight.end());
  for (double& w : weight) w = std::pow(w / peak, power);
  for (int64_t offset = 0; offset < length; offset += stride) {
    const int64_t chunk = std::min(length - offset, segment), delta = segment - chunk;
    Array in;
    for (int64_t i = 0; i < segment; ++i) {
      const int64_t at = offset - delta / 2 + i - lead;
      in.push_back(at >= 0 && at < total ? mix[at] : 0.0f);
    }
    const Array full = Model(in);
    for (int64_t i = 0; i < chunk; ++i) {
      out[offset + i] += weight[i] * full[delta / 2 + i];
      sum[offset + i] += weight[i];
    }
  }
  Array result;
  for (int64_t i = lead; i < length; ++i) result.push_back(static_cast<float>(out[i] / sum[i]));
  return result;
}

// demix() in its generic mode on a whole array.
Array DemixReference(const Array& track, int64_t chunk, int64_t overlaps, int64_t batch) {
  const int64_t fade = chunk / 10, step = chunk / overlaps, border = chunk - step,
                n = static_cast<int64_t>(track.size());
  Array mix;
  const bool extended = n > 2 * border && border > 0;
  if (extended) {
    for (int64_t i = border; i > 0; --i) mix.push_back(track[i]);
  }
  mix.insert(mix.end(), track.begin(), track.end());
  if (extended) {
    for (int64_t i = 0; i < border; ++i) mix.push_back(track[n - 2 - i]);
  }
  const int64_t length = static_cast<int64_t>(mix.size());
  std::vector<double> result(length), counter(length);
  std::vector<std::pair<int64_t, Array>> pending;
  for (int64_t i = 0; i < length;) {
    Array part(mix.begin() + i, mix.begin() + std::min(length, i + chunk));
    const int64_t valid = static_cast<int64_t>(part.size());
    for (int64_t j = valid; j < chunk; ++j) part.push_back(valid > chunk / 2 ? part[2 * (valid - 1) - j] : 0.0f);
    pending.emplace_back(i, part);
    i += step;
    if (static_cast<int64_t>(pending.size()) < batch && i < length) continue;
    std::vector<double> window(chunk, 1.0);
    for (int64_t j = 0; j < fade; ++j)
      window[j] = window[chunk - 1 - j] = fade == 1 ? 0.0 : static_cast<double>(j) / (fade - 1);
    if (i - step == 0) {
      std::fill(window.begin(), window.begin() + fade, 1.0);
    } else if (i >= length) {
      std::fill(window.end() - fade, window.end(), 1.0);
    }
    for (const auto& [start, in] : pending) {
      const Array out = Model(in);
      for (int64_t j = 0; j < std::min(chunk, length - start); ++j) {
        result[start + j] += window[j] * out[j];
        counter[start + j] += window[j];
      }
    }
    pending.clear();
  }
  Array out;
  for (int64_t j = extended ? border : 0; j < length - (extended ? border : 0); ++j) {
    out.push_back(static_cast<float>(result[j] / counter[j]));
  }
  return out;
}

void ExpectSame(const Array& got, const Array& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    // 0 / 0 in the reference: a window's very first or last sample with no neighbour.
    if (std::isnan(want[i]) && (i == 0 || i + 1 == want.size())) continue;
    ASSERT_NEAR(got[i], want[i], 2e-6) << "sample " << i << " of " << want.size();
  }
}

TEST(Tiling, DemucsTilesMatchTheWholeArray) {
  for (int64_t tile : {40, 77}) {
    for (double overlap : {0.0, 0.1, 0.25, 0.5, 0.75, 0.9}) {
      for (double power : {1.0, 2.5}) {
        for (int64_t lead : {0, 3, 39, 100}) {
          for (int64_t n : {1, 2, 13, 39, 40, 41, 76, 78, 160, 333, 1000}) {
            SCOPED_TRACE(testing::Message() << tile << " " << overlap << " " << power << " " << lead << " " << n);
            auto plan = TilePlan::Create(DemucsTiling(tile, overlap, power, lead), n);
            ASSERT_TRUE(plan) << plan.error().message;
            const Array track = Noise(n);
            const TiledRun run = RunTiled(*plan, track, 1 + n % 17);
            ExpectSame(run.out, DemucsReference(track, tile, overlap, power, lead));
            EXPECT_LE(run.widest, tile);
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

TEST(Tiling, DemixTilesMatchTheWholeArray) {
  for (int64_t tile : {40, 77, 200}) {
    for (int64_t overlaps : {2, 3, 4, 8, 13, 20}) {
      for (int64_t batch : {1, 2, 3}) {
        for (int64_t n :
             {1, 2, 13, 19, 20, 21, 39, 40, 41, 59, 61, 78, 116, 160, 161, 333, 334, 335, 1000, 1001, 1234}) {
          SCOPED_TRACE(testing::Message() << tile << " " << overlaps << " " << batch << " " << n);
          auto plan = TilePlan::Create(DemixTiling(tile, overlaps, n, batch), n);
          ASSERT_TRUE(plan) << plan.error().message;
          const Array track = Noise(n);
          const TiledRun run = RunTiled(*plan, track, 1 + n % 23);
          ExpectSame(run.out, DemixReference(track, tile, overlaps, batch));
          EXPECT_LE(run.widest, 2 * tile);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(Tiling, TilesThatDoNotOverlapAreJoined) {
  const Array track = Noise(100);
  auto plan = TilePlan::Create(DemixTiling(30, 1, 100), 100);
  ASSERT_TRUE(plan);
  const TiledRun run = RunTiled(*plan, track, 100);
  Array want;
  for (int64_t begin = 0; begin < 100; begin += 30) {
    Array in(track.begin() + begin, track.begin() + std::min<int64_t>(100, begin + 30));
    in.resize(30);
    const Array out = Model(in);
    want.insert(want.end(), out.begin(), out.begin() + std::min<int64_t>(30, 100 - begin));
  }
  ExpectSame(run.out, want);
}

TEST(Tiling, APlanOfDaysCostsNothing) {
  const int64_t n = int64_t{44100} * 86400 * 30;
  auto plan = TilePlan::Create(DemucsTiling(343980, 0.25, 1), n);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->count(), (n + 257984) / 257985);
  EXPECT_EQ(plan->at(plan->count() - 1).write_end, n);
  EXPECT_EQ(plan->at(plan->count() - 1).done, n);
}

TEST(Tiling, AnEmptyTrackHasNoTiles) {
  auto plan = TilePlan::Create(DemucsTiling(100, 0.25, 1), 0);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->count(), 0);
}

TEST(Tiling, RefusesWhatDoesNotFit) {
  EXPECT_FALSE(TilePlan::Create(DemucsTiling(0, 0.25, 1), 10));
  EXPECT_FALSE(TilePlan::Create(DemucsTiling(10, 1.0, 1), 10));
  EXPECT_FALSE(TilePlan::Create(DemucsTiling(10, -0.5, 1), 10));
  EXPECT_FALSE(TilePlan::Create(DemucsTiling(10, std::nan(""), 1), 10));
  EXPECT_FALSE(TilePlan::Create(DemucsTiling(10, 0.99, 1), 10));  // a step of 0
  EXPECT_FALSE(TilePlan::Create(DemucsTiling(10, 0.5, 1), -1));
  EXPECT_FALSE(TilePlan::Create(DemucsTiling(10, 0.5, 1, -1), 10));
  EXPECT_FALSE(TilePlan::Create(DemixTiling(10, 0, 10), 10));
  EXPECT_FALSE(TilePlan::Create(DemixTiling(10, 11, 10), 10));
  EXPECT_FALSE(TilePlan::Create(DemixTiling(10, 2, 10, 0), 10));
  TilingOptions options = DemucsTiling(10, 0.5, 1);
  options.window.pop_back();
  EXPECT_FALSE(TilePlan::Create(options, 10));
}

TEST(Tiling, ASampleWithoutWeightIsAnError) {
  TilingOptions options = DemucsTiling(10, 0, 1);
  options.window[4] = 0;
  auto plan = TilePlan::Create(options, 25);
  ASSERT_TRUE(plan);
  OverlapAdd overlap_add(1, 10);
  Array weights, in(10), out(10);
  const Tile tile = plan->at(0);
  plan->Weights(tile, &weights);
  auto count = overlap_add.Add(tile, weights, in.data(), 10, out.data(), 10);
  ASSERT_FALSE(count);
  EXPECT_EQ(count.error().code, ErrorCode::kInternal);
  EXPECT_NE(count.error().message.find("sample 4"), std::string::npos);
}

TEST(Tiling, TilesOutOfOrderAreAnError) {
  auto plan = TilePlan::Create(DemucsTiling(10, 0.5, 1), 25);
  ASSERT_TRUE(plan);
  OverlapAdd overlap_add(1, 10);
  Array weights, in(10), out(10);
  plan->Weights(plan->at(1), &weights);
  EXPECT_FALSE(overlap_add.Add(plan->at(1), weights, in.data(), 10, out.data(), 10));
}

}  // namespace
}  // namespace timbre
