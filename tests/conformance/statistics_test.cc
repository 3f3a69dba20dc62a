// Means and deviations on values that are hard on float32 sums: far from zero, and with a first value far from all
// others. Every device that there is, each node held against its oracle.
#include <gtest/gtest.h>

#include <functional>

#include "graph/formula_tensor.h"
#include "graph/net.h"
#include "runtime/session/session.h"
#include "tests/vulkan/usable_device.h"

namespace timbre {
namespace {

// Values within `spread` of `mean`, of which the first ones lie `first` above.
struct Hard {
  const char* name;
  float mean, spread, first;
};
const Hard kHard[] = {{"far from zero", 3.0f, 0.01f, 0.1f}, {"begins far from all others", -0.1f, 0.002f, 20.0f}};

// Runs `build`'s network on values of which the first `firsts` of each batch lie elsewhere.
void ExpectExact(const std::string& device, const std::string& name, const Hard& hard, const Shape& shape,
                 int64_t firsts, const std::function<Value(const Net&, Value)>& build) {
  auto weights = RandomWeights(11);
  GraphBuilder builder(name, *weights);
  const Value result = build(Net(builder), builder.Input("x", shape));
  builder.Output("y", result);
  auto graph = builder.Finish();
  ASSERT_TRUE(graph) << graph.error().message;
  std::vector<float> x(static_cast<size_t>(shape.elements()));
  std::vector<float> y(static_cast<size_t>(graph->shape(graph->outputs[0].tensor).elements()));
  for (size_t i = 0; i < x.size(); ++i) x[i] = hard.mean + FormulaValue(5, i, -hard.spread, 2 * hard.spread);
  for (int64_t n = 0; n < shape[0]; ++n) {
    for (int64_t j = 0; j < firsts; ++j) x[n * shape.stride(0) + j] += hard.first;
  }
  SessionOptions options;
  options.device = device;
  options.verify = options.strict = true;
  ThreadPool pool(2);
  auto session = MakeSession(*std::move(graph), options, pool, nullptr);
  ASSERT_TRUE(session) << session.error().message;
  const float* in = x.data();
  float* out = y.data();
  const Status ran = (*session)->Run({&in, 1}, {&out, 1});
  EXPECT_TRUE(ran) << name << ", " << hard.name << ": " << ran.error().message;
}

// One case for each way in which statistics are computed.
void ExpectExactOn(const std::string& device) {
  struct Case {
    const char* name;
    Shape shape;
    int groups;
    uint32_t keep;
  };
  for (const Hard& hard : kHard) {
    for (const Case& c :
         {Case{"runs", {3, 90, 4}, 1, 0}, Case{"rows", {1, 40, 96}, 1, 2}, Case{"strips", {1, 87, 24, 2}, 1, 4},
          Case{"chunks", {1, 40000, 4}, 4, 0}, Case{"batches of chunks", {2, 30000, 4}, 2, 0}}) {
      const int64_t firsts = c.shape.rank() == 4 ? c.shape[2] * c.shape.back() : c.shape.back();
      ExpectExact(device, c.name, hard, c.shape, firsts,
                  [&](const Net& net, Value x) { return net.GroupNorm("norm", x, c.groups, 1e-5f, c.keep); });
    }
    // A convolution that widens, and the norm behind it, over everything and over what one axis keeps.
    for (const uint32_t keep : {0u, 2u}) {
      const Shape shape = keep == 0 ? Shape{1, 20000, 4} : Shape{1, 3, 2000, 4};
      ExpectExact(device, "conv, norm", hard, shape, 4, [&](const Net& net, Value x) {
        return Glu(net.GroupNorm("norm", net.Conv("conv", x, {.out = 16}), 1, 1e-5f, keep));
      });
    }
    for (const ReduceFn fn : {ReduceFn::kSum, ReduceFn::kMean, ReduceFn::kStd}) {
      ExpectExact(device, "columns", hard, {1, 40000, 6}, 6, [&](const Net&, Value x) { return Reduce(fn, x, {1}); });
      ExpectExact(device, "row", hard, {2, 40000}, 1, [&](const Net&, Value x) { return Reduce(fn, x, {1}); });
    }
  }
}

TEST(Statistics, KeepTheirDigitsOnTheCpu) { ExpectExactOn("cpu"); }

TEST(Statistics, KeepTheirDigitsOnVulkan) {
  TIMBRE_NEED_VULKAN();
  ExpectExactOn(UsableDeviceName());
}

}  // namespace
}  // namespace timbre
