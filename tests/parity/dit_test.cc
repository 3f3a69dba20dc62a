// DiffRhythm 2's transformer held against the reference's own output: passes without and with a cache, and its tables.
#include "models/song/dit.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "formats/formula_weights.h"
#include "graph/net.h"
#include "tests/parity/song_support.h"
#include "tests/support/sweep.h"

namespace timbre {
namespace {

using testing::RatioDb;
using testing::SharedPath;
using testing::SongCase;
using testing::Values;
using Floats = std::vector<float>;
using Named = std::map<std::string, Floats>;

constexpr double kFloorDb = 100, kTapFloorDb = 95;

void Check(const std::string& name, const Floats& reference, const Floats& ours, double floor) {
  const double ratio = RatioDb(reference, ours);
  std::printf("  %-24s %.1f dB\n", name.c_str(), ratio);
  EXPECT_GE(ratio, floor) << name;
}

// What is kept between passes, and how much of it there is.
struct Cache {
  int64_t branches = 0, places = 0;
  std::shared_ptr<SessionState> state = std::make_shared<SessionState>();
};

class Network {
 public:
  Network(const std::string& path, const std::string& weights_path) {
    const auto read = ReadSafetensors(path);
    const auto tensors = ReadFormulaWeights(weights_path);
    if (!read || !tensors) {
      ADD_FAILURE() << (read ? tensors.error().message : read.error().message);
      return;
    }
    file = *read;
    config = ParseDitConfig(file.metadata.at("config")).value();
    weights_ = WeightsFromMap(*tensors);
    style = Values(file, "style");
    for (const float token : Values(file, "text")) text.push_back(static_cast<int32_t>(token));
  }

  // A pass whose keys and values the next pass writes over, or keeps.
  Named Step(const Floats& latent, float time, int64_t position, const Floats& styles, Cache& cache, bool keep = false,
             bool taps = false) {
    const int64_t rows = static_cast<int64_t>(latent.size()) / config.mel_dim;
    const DitShape shape{static_cast<int>(styles.size()) / kStyleFeatures, rows, kCapacity};
    const Named out =
        Run(BuildDitStep(config, *weights_, shape, taps), "latent", latent, time, position, rows, styles, cache);
    if (keep) cache.places += rows;
    return out;
  }

  // Fills a cache's first places.
  Cache Text(const std::vector<std::vector<int32_t>>& ids, const Floats& styles) {
    Cache cache{static_cast<int64_t>(ids.size())};
    Floats embedded;
    for (const auto& branch : ids) {
      const auto rows = EmbedText(config, *weights_, branch);
      if (!rows) {
        ADD_FAILURE() << rows.error().message;
        return cache;
      }
      embedded.insert(embedded.end(), rows->begin(), rows->end());
    }
    const auto rows = static_cast<int64_t>(ids[0].size());
    Run(BuildDitText(config, *weights_, {static_cast<int>(ids.size()), rows, kCapacity}), "text", embedded, -1, 0, rows,
        styles, cache);
    cache.places += rows;
    return cache;
  }

  Weights& weights() { return *weights_; }

  static constexpr int64_t kCapacity = 64;  // places
  Safetensors file;
  DitConfig config;
  Floats style;
  std::vector<int32_t> text;

 private:
  Named Run(Result<Graph> graph, const std::string& input, const Floats& x, float time, int64_t position, int64_t rows,
            const Floats& styles, Cache& cache) {
    if (!graph) {
      ADD_FAILURE() << graph.error().message;
      return {};
    }
    return testing::RunOnce(*std::move(graph), {{input, x}, {"time", TimeFeatures(time)}, {"style", styles}},
                            {.device = "cpu"}, [&](Session& session) -> Status {
                              TIMBRE_CHECK(session.SetScalar("place", static_cast<int32_t>(cache.places)));
                              TIMBRE_CHECK(session.SetScalar("length", static_cast<int32_t>(cache.places + rows)));
                              TIMBRE_CHECK(session.SetScalar("position", static_cast<int32_t>(position)));
                              return session.UseState(cache.state);
                            });
  }

  std::unique_ptr<Weights> weights_;
};

Floats Rows(const Floats& x, int64_t first, int64_t count, int64_t width) {
  return {x.begin() + first * width, x.begin() + (first + count) * width};
}

Floats BothStyles(const Floats& style) {
  Floats both = style;
  both.resize(2 * style.size());
  return both;
}

// The first `width` features of every row.
Floats Cut(const Floats& x, int64_t row, int64_t width) {
  Floats cut;
  for (size_t at = 0; at < x.size(); at += row) cut.insert(cut.end(), x.begin() + at, x.begin() + at + width);
  return cut;
}

void CheckCache(const Network& net, const Cache& cache, const std::string& prefix, int branch, int64_t first,
                int64_t places, const std::string& name) {
  const std::string key = prefix + name;
  const auto found = net.file.tensors->find(key);
  ASSERT_NE(found, net.file.tensors->end()) << key;
  const auto all = cache.state->Get(name);
  ASSERT_TRUE(all) << all.error().message;
  // The reference's are [heads, places, head, of which the first few].
  const int64_t dim = net.config.dim, head = net.config.head();
  Floats ours;
  for (int64_t h = 0; h < net.config.heads; ++h) {
    for (int64_t p = first; p < first + places; ++p) {
      const int64_t at = (branch * Network::kCapacity + p) * dim + h * head;
      ours.insert(ours.end(), all->begin() + at, all->begin() + at + found->second.shape.back());
    }
  }
  Check(key, Values(net.file, key), ours, kTapFloorDb);
}

TEST(DitParity, PassesWithoutACache) {
  Network net(SongCase("dit-tiny.safetensors"), SongCase("tiny.weights.json"));
  const int64_t rows = net.config.block_size, width = net.config.mel_dim;
  const Floats noise = Values(net.file, "noise"), t = Values(net.file, "t");
  // The reference's taps are those of its first pass.
  Cache cache{1};
  const Named out = net.Step(Rows(noise, 0, rows, width), t[0], 0, net.style, cache, false, true);
  ASSERT_FALSE(out.empty());
  Check("pred.nocache", Values(net.file, "pred.nocache"), out.at("velocity"), kFloorDb);
  for (const auto& [name, values] : out) {
    const auto found = net.file.tensors->find(name);
    if (!name.starts_with("tap.") || found == net.file.tensors->end()) continue;
    Floats ours = Cut(values, static_cast<int64_t>(values.size()) / (name == "tap.time_embed" ? 1 : rows), 8);
    Floats reference = found->second.ToF32();
    if (name == "tap.time_embed") reference.resize(8);
    Check(name, reference, ours, kTapFloorDb);
  }
}

TEST(DitParity, CachedBlocksOfBothBranches) {
  Network net(SongCase("dit-tiny.safetensors"), SongCase("tiny.weights.json"));
  const int64_t rows = net.config.block_size, width = net.config.mel_dim;
  const Floats noise = Values(net.file, "noise"), t = Values(net.file, "t"), clean = Values(net.file, "clean");
  const Floats styles = BothStyles(net.style);
  Cache cache = net.Text({net.text, std::vector<int32_t>(net.text.size())}, styles);
  ASSERT_EQ(cache.places, static_cast<int64_t>(net.text.size()));
  const auto places = static_cast<int64_t>(net.text.size());
  for (const std::string name : {"k.0", "k.2", "v.0", "v.2"}) {
    CheckCache(net, cache, "text.", 0, 0, places, name);
    CheckCache(net, cache, "null.text.", 1, 0, places, name);
  }
  const int64_t values = rows * width;
  for (int b = 0; b < 4; ++b) {
    const Named out = net.Step(Rows(noise, b * rows, rows, width), t[b], b * rows, styles, cache);
    ASSERT_FALSE(out.empty());
    const std::string block = ".b" + std::to_string(b);
    Check("pred" + block, Values(net.file, "pred" + block), Rows(out.at("velocity"), 0, 1, values), kFloorDb);
    Check("null.pred" + block, Values(net.file, "null.pred" + block), Rows(out.at("velocity"), 1, 1, values), kFloorDb);
    if (b == 3) break;
    net.Step(Rows(clean, b * rows, rows, width), 1, b * rows, styles, cache, true);
  }
  for (const std::string name : {"k.0", "v.0"}) {
    CheckCache(net, cache, "cache.", 0, places, 3 * rows, name);
    CheckCache(net, cache, "null.cache.", 1, places, 3 * rows, name);
  }
}

TEST(DitParity, BothBranchesInOneProductAreTwo) {
  Network net(SongCase("dit-tiny.safetensors"), SongCase("tiny.weights.json"));
  const int64_t rows = net.config.block_size, width = net.config.mel_dim;
  const std::vector<int32_t> filler(net.text.size());
  const Floats noise = Rows(Values(net.file, "noise"), 0, rows, width), none(net.style.size());
  const Floats styles = BothStyles(net.style);
  Cache cache = net.Text({net.text, filler}, styles), first = net.Text({net.text}, net.style),
        second = net.Text({filler}, none);
  const Named both = net.Step(noise, 0.25f, 0, styles, cache);
  const Named one = net.Step(noise, 0.25f, 0, net.style, first);
  const Named null = net.Step(noise, 0.25f, 0, none, second);
  ASSERT_FALSE(both.empty() || one.empty() || null.empty());
  Check("first", one.at("velocity"), Rows(both.at("velocity"), 0, 1, rows * width), 120);
  Check("second", null.at("velocity"), Rows(both.at("velocity"), 1, 1, rows * width), 120);
}

// The same network without keys and values that are kept, in plain operators: text and blocks are rows of one pass, and
// a row sees what is not later than its block. Of the text there are as many rows as of a block.
Result<Graph> BuildUncached(const DitConfig& c, Weights& weights, int64_t blocks) {
  class Lent : public Weights {
   public:
    explicit Lent(Weights& from) : from_(from) {}
    Result<HostTensor> Get(const std::string& name, const Shape& shape) override { return from_.Get(name, shape); }
    bool Has(const std::string& name) const override { return from_.Has(name); }

   private:
    Weights& from_;
  } lent(weights);
  GraphBuilder graph("uncached", lent);
  const Net n = Net(graph) / "transformer";
  const int64_t text = c.block_size, latents = blocks * c.block_size, rows = text + latents;
  std::vector<int32_t> positions;
  for (int64_t r = 0; r < rows; ++r) positions.push_back(static_cast<int32_t>(r < text ? r : r - text));
  const Value at = graph.Integers("positions", {rows}, positions);
  const Floats frequencies = RotaryFrequencies(c.head());
  const Value turns = graph.Constant("frequencies", {c.head() / 2}, frequencies);
  const auto turned = [&](const Net& net, const char* name, Value x) {
    const Value heads = net.RmsNorm(name, Reshape(x, {1, rows, c.heads, c.head()}));
    return Rotary(Reshape(heads, {1, rows, c.dim}), turns, at, {.heads = c.heads, .dims = c.head()});
  };
  const Net embed = n / "latent_embed", mlp = n / "time_embed" / "time_mlp", in = n / "input_embed";
  const Value latent = graph.Input("latent", {1, latents, c.mel_dim});
  const Value x = Concat({graph.Input("text", {1, text, kStyleFeatures}),
                          embed.Linear("1", embed.Linear("0", latent, kStyleFeatures), kStyleFeatures)},
                         1);
  const Value features = graph.Input("time", {1, rows, kTimeFeatures});
  const Value time = mlp.Linear("2", Silu(mlp.Linear("0", features, kStyleFeatures)), kStyleFeatures);
  const Value style = graph.Input("style", {1, 1, kStyleFeatures});
  Value h = in.Linear("proj_2", in.Linear("proj", x + style + time, kStyleFeatures) + x, c.dim);
  for (int layer = 0; layer < c.depth; ++layer) {
    const Net block = n / "transformer_blocks" / layer, attention = block / "self_attn", feed = block / "mlp";
    const Value y = block.RmsNorm("input_layernorm", h);
    const Value seen = Attention(turned(attention, "q_norm", attention.Linear("q_proj", y, c.dim, false)),
                                 turned(attention, "k_norm", attention.Linear("k_proj", y, c.dim, false)),
                                 attention.Linear("v_proj", y, c.dim, false),
                                 {.heads = c.heads,
                                  .scale = 1 / std::sqrt(static_cast<float>(c.head())),
                                  .causal = true,
                                  .block = c.block_size,
                                  .past = 0});
    h = h + attention.Linear("o_proj", seen, c.dim, false);
    const Value z = block.RmsNorm("post_attention_layernorm", h);
    const int hidden = c.dim * c.ff_mult;
    h = h + feed.Linear("down_proj",
                        Silu(feed.Linear("gate_proj", z, hidden, false)) * feed.Linear("up_proj", z, hidden, false),
                        c.dim, false);
  }
  const Value gain = (n / "norm_out").Linear("linear", Silu(time), 2 * c.dim);
  const Value plain =
      graph.Add1(Op::kNorm, NormAttrs{.groups = 1, .keep = 1u << 1, .eps = 1e-6f}, {h, Value(), Value()}, "plain");
  const Value y = plain * Scale(Slice(gain, 2, 0, c.dim), 1, 1) + Slice(gain, 2, c.dim, 2 * c.dim);
  graph.Output("velocity", n.Linear("proj_out", y, c.mel_dim));
  return graph.Finish();
}

TEST(DitParity, CachedIsUncached) {
  Network net(SongCase("dit-tiny.safetensors"), SongCase("tiny.weights.json"));
  const int64_t rows = net.config.block_size, width = net.config.mel_dim, blocks = 3;
  const Floats noise = Values(net.file, "noise"), clean = Values(net.file, "clean");
  const std::vector<int32_t> ids(net.text.begin(), net.text.begin() + rows);
  constexpr float kTime = 0.25f;
  Cache cache = net.Text({ids}, net.style);
  Named cached;
  for (int64_t b = 0; b < blocks; ++b) {
    cached = net.Step(Rows(noise, b * rows, rows, width), kTime, b * rows, net.style, cache);
    ASSERT_FALSE(cached.empty());
    // Everything before block b, and block b itself, in one pass.
    Floats latents = Rows(clean, 0, b * rows, width), times;
    const Floats own = Rows(noise, b * rows, rows, width);
    latents.insert(latents.end(), own.begin(), own.end());
    for (int64_t r = 0; r < (b + 2) * rows; ++r) {
      const Floats features = TimeFeatures(r < rows ? -1 : r < (b + 1) * rows ? 1 : kTime);
      times.insert(times.end(), features.begin(), features.end());
    }
    const auto text = EmbedText(net.config, net.weights(), ids);
    ASSERT_TRUE(text) << text.error().message;
    auto graph = BuildUncached(net.config, net.weights(), b + 1);
    ASSERT_TRUE(graph) << graph.error().message;
    const Named whole = testing::RunOnce(*std::move(graph),
                                         {{"latent", latents}, {"text", *text}, {"time", times}, {"style", net.style}});
    ASSERT_FALSE(whole.empty());
    Check("block " + std::to_string(b), Rows(whole.at("velocity"), (b + 1) * rows, rows, width), cached.at("velocity"),
          kFloorDb);
    net.Step(Rows(clean, b * rows, rows, width), 1, b * rows, net.style, cache, true);
  }
}

TEST(DitParity, WithoutLyricsAndFarAlong) {
  Network net(SongCase("dit-tiny.safetensors"), SongCase("tiny.weights.json"));
  const int64_t rows = net.config.block_size, width = net.config.mel_dim;
  const Floats noise = Values(net.file, "noise"), t = Values(net.file, "t"), clean = Values(net.file, "clean");
  Cache cache{1}, empty{1};
  net.Step(Rows(clean, 0, rows, width), 1, 0, net.style, cache, true);
  const Named out = net.Step(Rows(noise, rows, rows, width), t[1], rows, net.style, cache);
  const Named far = net.Step(Rows(noise, rows, rows, width), t[1], 1040, net.style, empty);
  ASSERT_FALSE(out.empty() || far.empty());
  Check("pred.notext", Values(net.file, "pred.notext"), out.at("velocity"), kFloorDb);
  Check("pred.far", Values(net.file, "pred.far"), far.at("velocity"), kFloorDb);
}

// 4 GiB of weights, made three times over: minutes, for ./dev sweep.
TEST(DitParity, ReleasedShapeByFormula) {
  TIMBRE_SWEEP_ONLY("the released transformer was");
  const std::string path = SharedPath("goldens/diffrhythm/dit-full.safetensors");
  TIMBRE_NEED_SHARED(path);
  Network net(path, SharedPath("goldens/diffrhythm/dit-full.weights.json"));
  ASSERT_FALSE(net.style.empty());
  const Floats styles = BothStyles(net.style);
  const int64_t rows = net.config.block_size, values = rows * net.config.mel_dim;
  Cache cache = net.Text({net.text, std::vector<int32_t>(net.text.size())}, styles);
  const auto places = static_cast<int64_t>(net.text.size());
  for (const std::string name : {"k.0", "k.15", "v.0", "v.15"}) {
    CheckCache(net, cache, "text.", 0, 0, places, name);
    CheckCache(net, cache, "null.text.", 1, 0, places, name);
  }
  net.Step(Values(net.file, "clean"), 1, 0, styles, cache, true);
  CheckCache(net, cache, "cache.", 0, places, rows, "k.15");
  CheckCache(net, cache, "null.cache.", 1, places, rows, "k.15");
  const Named out = net.Step(Values(net.file, "noise"), Values(net.file, "t")[0], rows, styles, cache);
  ASSERT_FALSE(out.empty());
  const Floats pred = Rows(out.at("velocity"), 0, 1, values), null = Rows(out.at("velocity"), 1, 1, values);
  Check("pred", Values(net.file, "pred"), pred, kTapFloorDb);
  Check("null.pred", Values(net.file, "null.pred"), null, kTapFloorDb);
  Floats guided = pred;
  for (size_t i = 0; i < guided.size(); ++i) guided[i] += 2 * (pred[i] - null[i]);
  Check("guided", Values(net.file, "guided"), guided, kTapFloorDb);
}

TEST(DitParity, TablesAreTheReferences) {
  const auto file = ReadSafetensors(SongCase("tables.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  const Floats times = Values(*file, "time.t");
  Floats features;
  for (const float t : times) {
    const Floats one = TimeFeatures(t);
    features.insert(features.end(), one.begin(), one.end());
  }
  Check("time.features", Values(*file, "time.features"), features, 130);
  const Floats frequencies = RotaryFrequencies(128);
  Floats cosine, sine;
  for (const float position : Values(*file, "rope.positions")) {
    for (int twice = 0; twice < 2; ++twice) {
      for (const float frequency : frequencies) {
        const float angle = position * frequency;
        cosine.push_back(static_cast<float>(std::cos(static_cast<double>(angle))));
        sine.push_back(static_cast<float>(std::sin(static_cast<double>(angle))));
      }
    }
  }
  Check("rope.cos.128", Values(*file, "rope.cos.128"), cosine, 130);
  Check("rope.sin.128", Values(*file, "rope.sin.128"), sine, 130);
  for (const int points : {4, 5, 16, 32}) {
    EXPECT_EQ(Values(*file, "linspace." + std::to_string(points)), Linspace(points));
  }
}

}  // namespace
}  // namespace timbre
