// The judge of --verify itself: what is right passes however its terms cancel, and what is wrong by a little does not.
#include "runtime/check/verify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "graph/formula_tensor.h"
#include "graph/net.h"
#include "graph/passes.h"
#include "runtime/session/session.h"

namespace timbre {
namespace {

constexpr int64_t kRows = 3000, kIn = 6, kOut = 8, kTaps = 5;

// A convolution whose weights add up to nothing for each output, so that of an input far from zero only what changes is
// left, and the norm behind it over everything.
struct HighPass {
  std::vector<float> x = std::vector<float>(kRows * kIn);
  std::vector<float> weight = FormulaValues("weight", kOut* kIn* kTaps, -1, 1);
  std::vector<float> bias = FormulaValues("bias", kOut, -0.01f, 0.01f);
  float eps = 1e-5f;
  bool norm = true;

  HighPass() {
    for (int64_t o = 0; o < kOut; ++o) {
      float* const row = weight.data() + o * kIn * kTaps;
      double sum = 0;
      for (int64_t i = 0; i < kIn * kTaps; ++i) sum += row[i];
      for (int64_t i = 0; i < kIn * kTaps; ++i) row[i] -= static_cast<float>(sum / (kIn * kTaps));
    }
    // A constant, and a thousandth of it that changes.
    const std::vector<float> changes = FormulaValues("x", kRows * kIn, -1e-3f, 1e-3f);
    for (size_t i = 0; i < x.size(); ++i) x[i] = 1 + changes[i];
  }

  Graph Build() const {
    const auto weights = RandomWeights(7);
    GraphBuilder builder("high-pass", *weights);
    ConvAttrs attrs;
    attrs.kernel[2] = kTaps;
    Value y = builder.Add1(Op::kConv, attrs,
                           {builder.Input("x", {1, kRows, kIn}), builder.Constant("weight", {kOut, kIn, kTaps}, weight),
                            builder.Constant("bias", {kOut}, bias)});
    if (norm) y = Gelu(Net(builder).GroupNorm("norm", y, 1, eps));
    builder.Output("y", y);
    return *builder.Finish();
  }
  // What a session makes of it.
  std::vector<float> Run(SessionOptions options = {}) const {
    options.device = "cpu";
    ThreadPool pool(2);
    const Graph graph = Build();
    const auto session = MakeSession(graph, options, pool, nullptr);
    std::vector<float> y(static_cast<size_t>(graph.shape(graph.outputs[0].tensor).elements()));
    const float* in = x.data();
    float* out = y.data();
    const Status ran = (*session)->Run({&in, 1}, {&out, 1});
    EXPECT_TRUE(ran) << ran.error().message;
    return y;
  }
  // Whether `y` may be what a kernel gave for all of it, fused into one node.
  bool Passes(const std::vector<float>& y) const {
    Graph graph = Build();
    FuseEpilogues(graph, [](const Graph&, const Node&) { return true; });
    EXPECT_EQ(graph.nodes.size(), 1u);
    std::vector<const float*> in(graph.nodes[0].inputs.size());
    in[0] = x.data();
    const float* out = y.data();
    return VerifyNode(graph, graph.nodes[0], in, {&out, 1}).has_value();
  }
};

TEST(Verify, JudgesByItsTermsWhatCancels) {
  for (const bool norm : {true, false}) {
    HighPass right;
    right.norm = norm;
    for (const bool fast : {true, false}) {
      for (const bool fusion : {true, false}) {
        SessionOptions options;
        options.verify = options.strict = true;
        options.toggles.fast_kernels = fast;
        options.toggles.fusion = fusion;
        const std::vector<float> y = right.Run(options);
        EXPECT_TRUE(right.Passes(y)) << norm << fast << fusion;
      }
    }
  }
}

// Each is a kernel that is wrong by little: the result would not be heard to be.
TEST(Verify, CatchesSmallErrorsOfWhatCancels) {
  for (const bool norm : {true, false}) {
    HighPass right;
    right.norm = norm;
    const std::vector<float> y = right.Run();
    ASSERT_TRUE(right.Passes(y));

    std::vector<float> swapped = y;
    for (size_t row = 0; row < swapped.size(); row += kOut) std::swap(swapped[row + 2], swapped[row + 3]);
    EXPECT_FALSE(right.Passes(swapped)) << norm;

    std::vector<float> once = y;
    std::swap(once[40 * kOut], once[40 * kOut + 1]);
    EXPECT_FALSE(right.Passes(once)) << norm;

    HighPass unbiased = right;
    std::fill(unbiased.bias.begin(), unbiased.bias.end(), 0.0f);
    EXPECT_FALSE(right.Passes(unbiased.Run())) << norm;

    HighPass turned = right;
    for (int64_t o = 0; o < kOut * kIn; ++o) {
      std::reverse(turned.weight.begin() + o * kTaps, turned.weight.begin() + (o + 1) * kTaps);
    }
    EXPECT_FALSE(right.Passes(turned.Run())) << norm;

    std::vector<float> missing = y;
    std::fill(missing.end() - kOut, missing.end(), 0.0f);
    EXPECT_FALSE(right.Passes(missing)) << norm;

    if (!norm) continue;
    HighPass other_eps = right;
    other_eps.eps = 1e-6f;
    EXPECT_FALSE(right.Passes(other_eps.Run()));
  }
}

// A tone for two frames of very many: what a Fourier transform of those two is off by is much beside the whole, which
// is silent. A window that is off by one sample still shows, and so does a tone that is one bin away.
TEST(Verify, JudgesASpectrumByItsFrames) {
  constexpr int kFft = 64, kHop = 32;
  constexpr int64_t kFrames = 6000, kSamples = (kFrames - 1) * kHop + kFft, kBins = kFft / 2 + 1;
  const auto weights = RandomWeights(7);
  GraphBuilder builder("spectrum", *weights);
  std::vector<float> window(kFft), late(kFft);
  for (int i = 0; i < kFft; ++i) {
    window[i] = 0.5f - 0.5f * std::cos(6.2831853f * (static_cast<float>(i) + 0.5f) / kFft);
    late[(i + 1) % kFft] = window[i];
  }
  const Value w = builder.Constant("window", {kFft}, window);
  builder.Output("z", Stft(builder.Input("x", {1, kSamples, 1}), w, {.n_fft = kFft, .hop = kHop}));
  builder.Output("y", Istft(builder.Input("z", {1, kFrames, kBins, 2}), w,
                            {.n_fft = kFft, .hop = kHop, .crop = kHop, .length = kSamples - 2 * kHop}));
  const auto graph = builder.Finish();
  ASSERT_TRUE(graph) << graph.error().message;
  std::vector<float> x(kSamples), z(kFrames * kBins * 2), y(kSamples - 2 * kHop), other = z, back = y;
  for (int i = 0; i < kHop; ++i) x[1000 * kHop + i] = 1e-4f * std::sin(0.31f * static_cast<float>(i));

  ThreadPool pool(2);
  const auto session = MakeSession(*graph, {.device = "cpu"}, pool, nullptr);
  ASSERT_TRUE(session);
  std::vector<float> spectrum = z;
  for (int time = 0; time < 2; ++time) {  // the second time with the first one's spectrum
    const float* const in[] = {x.data(), spectrum.data()};
    float* const out[] = {z.data(), y.data()};
    ASSERT_TRUE((*session)->Run(in, out));
    spectrum = z;
  }

  const auto passes = [&](size_t node, const std::vector<float>& from, const std::vector<float>& result) {
    const float* const in[] = {from.data(), window.data()};
    const float* const out[] = {result.data()};
    return VerifyNode(*graph, graph->nodes[node], in, out).has_value();
  };
  ASSERT_TRUE(passes(0, x, z));
  ASSERT_TRUE(passes(1, spectrum, y));
  other = z;
  for (int64_t k = 999 * kBins; k < 1001 * kBins; ++k) std::copy_n(z.data() + 2 * (k ^ 1), 2, other.data() + 2 * k);
  EXPECT_FALSE(passes(0, x, other));
  for (size_t i = 0; i < y.size(); ++i) {
    // Overlapped windows: this sample's share of each frame, by the window that is late.
    const size_t at = i % kHop;
    back[i] = y[i] * (late[at] * window[at] + late[at + kHop] * window[at + kHop]) /
              (window[at] * window[at] + window[at + kHop] * window[at + kHop]);
  }
  EXPECT_FALSE(passes(1, spectrum, back));
}

// Where nothing cancels, the tolerance stays what it is: a deviation that is off by a ten-thousandth shows, in sums of
// which one term is far larger than all others as well.
TEST(Verify, IsAsStrictAsEverWhereNothingCancels) {
  for (const float first : {0.0f, 100.0f}) {
    HighPass network;
    network.weight = FormulaValues("weight", kOut * kIn * kTaps, -1, 1);
    network.x = FormulaValues("x", kRows * kIn, -1, 1);
    network.x[0] += first;
    std::vector<float> y = network.Run();
    ASSERT_TRUE(network.Passes(y));
    for (float& v : y) v *= 1.0001f;
    EXPECT_FALSE(network.Passes(y)) << first;
  }
}

}  // namespace
}  // namespace timbre
