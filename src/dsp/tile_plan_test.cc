#include "dsp/tile_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "dsp/overlap_add.h"

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

constexpr int kChannels = 2;  // the second is the first, reversed in sign and doubled

// The flow of a task: the track arrives in pieces, and what no tile needs any more is overwritten.
Array RunTiled(const TilePlan& plan, const Array& track, int64_t piece) {
  Array source, out, input(plan.tile * kChannels);
  int64_t source_end = 0, previous_first = 0;
  OverlapAdd overlap_add(plan, kChannels);
  for (const Tile& tile : plan.tiles) {
    EXPECT_GT(tile.length, 0);
    EXPECT_GE(tile.first, previous_first);
    previous_first = tile.first;
    EXPECT_LE(tile.last, plan.length);
    EXPECT_LE(tile.last - tile.first, 2 * plan.tile);
    for (int64_t i = 0; i < tile.first * kChannels && i < static_cast<int64_t>(source.size()); ++i) source[i] = 1e9f;
    while (source_end < tile.last) {
      const int64_t end = std::min<int64_t>(source_end + piece, static_cast<int64_t>(track.size()));
      for (; source_end < end; ++source_end) {
        source.push_back(track[source_end]);
        source.push_back(-2 * track[source_end]);
      }
    }
    GatherTile(plan, tile, source.data(), 0, kChannels, input.data());
    Array one(plan.tile), output(plan.tile * kChannels);
    for (int64_t i = 0; i < plan.tile; ++i) {
      one[i] = input[i * kChannels];
      EXPECT_EQ(input[i * kChannels + 1], -2 * one[i]);
    }
    one = Model(one);
    for (int64_t i = 0; i < plan.tile; ++i) {
      output[i * kChannels] = one[i];
      output[i * kChannels + 1] = -2 * one[i];
    }
    const Status status = overlap_add.Add(output.data(), &out);
    EXPECT_TRUE(status) << status.error().message;
    if (!status) break;
  }
  Array first;
  for (size_t i = 0; i < out.size(); i += kChannels) {
    first.push_back(out[i]);
    EXPECT_FLOAT_EQ(out[i + 1], -2 * out[i]);
  }
  return first;
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

TEST(TilePlan, CentredTilesMatchTheWholeArray) {
  for (int64_t tile : {40, 77}) {
    for (double overlap : {0.0, 0.1, 0.25, 0.5, 0.75, 0.9}) {
      for (double power : {1.0, 2.5}) {
        for (int64_t shift : {0, 3, 39, 100}) {
          for (int64_t n : {1, 2, 13, 39, 40, 41, 76, 78, 160, 333, 1000}) {
            SCOPED_TRACE(testing::Message() << tile << " " << overlap << " " << power << " " << shift << " " << n);
            auto plan = PlanCentred(n, tile, overlap, power, {&shift, 1});
            ASSERT_TRUE(plan) << plan.error().message;
            const Array track = Noise(n);
            ExpectSame(RunTiled(*plan, track, 1 + n % 17), DemucsReference(track, tile, overlap, power, shift));
            if (HasFailure()) return;
          }
        }
      }
    }
  }
}

TEST(TilePlan, ShiftsAreAveraged) {
  const std::vector<int64_t> shifts{5, 0, 31, 58};
  for (int64_t n : {7, 60, 333}) {
    auto plan = PlanCentred(n, 50, 0.25, 1, shifts);
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->layers, 4);
    const Array track = Noise(n);
    Array want(n);
    for (int64_t shift : shifts) {
      const Array one = DemucsReference(track, 50, 0.25, 1, shift);
      for (int64_t i = 0; i < n; ++i) want[i] += one[i] / 4;
    }
    ExpectSame(RunTiled(*plan, track, 9), want);
  }
}

TEST(TilePlan, FadedTilesMatchTheWholeArray) {
  for (int64_t tile : {40, 77, 200}) {
    for (int64_t overlaps : {2, 3, 4, 8, 13, 20}) {
      for (int batch : {1, 2, 3}) {
        for (int64_t n :
             {1, 2, 13, 19, 20, 21, 39, 40, 41, 59, 61, 78, 116, 160, 161, 333, 334, 335, 1000, 1001, 1234}) {
          SCOPED_TRACE(testing::Message() << tile << " " << overlaps << " " << batch << " " << n);
          auto plan = PlanFaded(n, tile, tile / overlaps, tile / 10, batch);
          ASSERT_TRUE(plan) << plan.error().message;
          const Array track = Noise(n);
          ExpectSame(RunTiled(*plan, track, 1 + n % 23), DemixReference(track, tile, overlaps, batch));
          if (HasFailure()) return;
        }
      }
    }
  }
}

TEST(TilePlan, TilesThatDoNotOverlapAreJoined) {
  const Array track = Noise(100);
  auto plan = PlanFaded(100, 30, 30, 3);
  ASSERT_TRUE(plan);
  Array want;
  for (int64_t begin = 0; begin < 100; begin += 30) {
    Array in(track.begin() + begin, track.begin() + std::min<int64_t>(100, begin + 30));
    in.resize(30);
    const Array out = Model(in);
    want.insert(want.end(), out.begin(), out.begin() + std::min<int64_t>(30, 100 - begin));
  }
  ExpectSame(RunTiled(*plan, track, 100), want);
}

TEST(TilePlan, EvenTilesMatchTheWholeArray) {
  for (const auto& [n, tile, step] : std::vector<std::array<int64_t, 3>>{
           {1, 40, 10}, {9, 40, 10}, {40, 40, 10}, {41, 40, 40}, {100, 40, 13}, {333, 77, 19}, {1000, 40, 20}}) {
    const Array track = Noise(n);
    auto plan = PlanEven(n, tile, step);
    ASSERT_TRUE(plan);
    Array sum(n), count(n);
    for (int64_t begin = 0; begin < n; begin += step) {
      Array in(track.begin() + begin, track.begin() + std::min(n, begin + tile));
      in.resize(tile);
      const Array out = Model(in);
      for (int64_t i = 0; i < std::min(tile, n - begin); ++i) sum[begin + i] += out[i], ++count[begin + i];
    }
    for (int64_t i = 0; i < n; ++i) sum[i] /= count[i];
    ExpectSame(RunTiled(*plan, track, 10), sum);
  }
}

TEST(TilePlan, ContextTilesSeeTheirNeighbours) {
  // With the neighbours that the stand-in looks at inside the context, tiling leaves no trace but its sine.
  for (int64_t n : {1, 20, 21, 100, 333}) {
    const Array track = Noise(n);
    auto plan = PlanContext(n, 20, 8);
    ASSERT_TRUE(plan);
    Array want;
    for (int64_t i = 0; i < n; ++i) {
      const auto at = [&](int64_t j) { return j >= 0 && j < n ? track[j] : 0.0f; };
      want.push_back(0.5f * at(i) + 0.3f * at(i + 7) - 0.2f * at(i - 5) +
                     0.1f * std::sin(0.05f * static_cast<float>(i % 20 + 8)));
    }
    ExpectSame(RunTiled(*plan, track, 10), want);
  }
}

TEST(TilePlan, AnEmptyTrackHasNoTiles) {
  for (const auto& plan :
       {PlanCentred(0, 100, 0.25, 1), PlanFaded(0, 100, 25, 10), PlanContext(0, 100, 5), PlanEven(0, 100, 25)}) {
    ASSERT_TRUE(plan);
    EXPECT_TRUE(plan->tiles.empty());
  }
}

TEST(TilePlan, SteepWeightsStayAboveZero) {
  const Array track = Noise(3000);
  auto plan = PlanCentred(3000, 1000, 0.25, 500);
  ASSERT_TRUE(plan);
  EXPECT_EQ(RunTiled(*plan, track, 100).size(), 3000u);
}

TEST(TilePlan, RefusesWhatDoesNotFit) {
  EXPECT_FALSE(PlanCentred(10, 0, 0.25, 1));
  EXPECT_FALSE(PlanCentred(10, int64_t{1} << 62, 0.25, 1));
  EXPECT_FALSE(PlanCentred(10, 10, 1.0, 1));
  EXPECT_FALSE(PlanCentred(10, 10, -0.5, 1));
  EXPECT_FALSE(PlanCentred(10, 10, std::nan(""), 1));
  EXPECT_FALSE(PlanCentred(10, 10, 0.99, 1));  // a step of 0
  EXPECT_FALSE(PlanCentred(10, 10, 0.5, 0.5));
  EXPECT_FALSE(PlanCentred(10, 10, 0.5, std::nan("")));
  EXPECT_FALSE(PlanCentred(-1, 10, 0.5, 1));
  EXPECT_FALSE(PlanCentred(int64_t{1} << 40, 10, 0.5, 1));  // too many tiles
  const int64_t back = -1;
  EXPECT_FALSE(PlanCentred(10, 10, 0.5, 1, {&back, 1}));
  EXPECT_FALSE(PlanFaded(10, 10, 0, 1));
  EXPECT_FALSE(PlanFaded(10, 10, 11, 1));
  EXPECT_FALSE(PlanFaded(10, 10, 5, 6));
  EXPECT_FALSE(PlanFaded(10, 10, 5, -1));
  EXPECT_FALSE(PlanFaded(10, 10, 5, 1, 0));
  EXPECT_FALSE(PlanEven(10, 10, 0));
  EXPECT_FALSE(PlanEven(10, 10, 11));
  EXPECT_FALSE(PlanContext(10, 0, 1));
  EXPECT_FALSE(PlanContext(10, 1, -1));
}

TEST(TilePlan, ASampleWithoutWeightIsAnError) {
  auto plan = PlanCentred(25, 10, 0, 1);
  ASSERT_TRUE(plan);
  auto holed = std::make_shared<std::vector<float>>(*plan->tiles[1].weight);
  (*holed)[4] = 0;
  plan->tiles[1].envelope = holed;
  Array out(10);
  EXPECT_TRUE(TileFactors(*plan, 0, out));
  const Status status = TileFactors(*plan, 1, out);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInternal);
  EXPECT_NE(status.error().message.find("sample 14"), std::string::npos) << status.error().message;
}

TEST(TilePlan, AGapBetweenTilesIsAnError) {
  auto plan = PlanCentred(40, 10, 0, 1);
  ASSERT_TRUE(plan);
  plan->tiles.erase(plan->tiles.begin() + 1);
  OverlapAdd overlap_add(*plan, 1);
  Array output(10), out;
  const Status status = overlap_add.Add(output.data(), &out);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("sample 10"), std::string::npos) << status.error().message;
}

}  // namespace
}  // namespace timbre
