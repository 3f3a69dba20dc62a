// Texts against the reference: what is drawn by given numbers, where a text ends, through the flow that commands use.
#include "pipelines/text/text.h"

#include "pipelines/text/prompt_files.h"
#include "runtime/session/faults.h"
#include "tests/parity/language_support.h"
#include "tests/support/sweep.h"

namespace timbre {
namespace {

using nlohmann::json;
using testing::Ids;
using testing::LanguageCase;
using testing::Values;

constexpr const char* kTags[] = {"phi-tiny", "smollm2-tiny", "llama3-tiny", "qwen2-tiny", "qwen3-tiny", "gpt2-tiny"};

SamplingOptions SamplingOf(const json& from) {
  return {.temperature = from["temperature"],
          .top_k = from["top_k"],
          .top_p = from["top_p"],
          .repetition_penalty = from.value("repetition_penalty", 1.0)};
}

class Writer {
 public:
  explicit Writer(const std::string& tag) : tag_(tag) {
    testing::WriteLanguageFolder(tag, folder_ / tag);
    Read(folder_ / tag, Tokenizer::FromHuggingFace(LanguageCase(tag)), LanguageCase(tag + ".safetensors"));
  }
  Writer(const std::string& gguf, const std::string& reference) : tag_(gguf) {
    const auto tables = ReadGguf(gguf);
    Read(gguf, tables ? Tokenizer::FromGguf(*tables) : tl::unexpected<Error>(tables.error()), reference);
  }

  TextReport Write(const TextOptions& options, const std::string& prompt = "ids") {
    TextReport report;
    std::string shown;
    Observer observer;
    ThreadPool pool(2);
    const auto generator = Generator::Create(model, 0, {.device = "cpu", .strict = true}, pool, nullptr);
    if (!generator) {
      ADD_FAILURE() << generator.error().message;
      return report;
    }
    const Status written = WriteText(
        **generator, &*tokenizer, Ids(file, prompt), options, [&](std::string_view text) { shown += text; }, observer,
        report);
    EXPECT_TRUE(written) << written.error().message;
    EXPECT_EQ(shown, report.text);
    return report;
  }

  std::string Text(const char* name) const { return json::parse(file.metadata.at("texts"))[name]; }
  json Sampling() const { return json::parse(file.metadata.at("sampling")); }
  TextOptions Drawn(const std::string& name, const json& sampling) const {
    const auto uniform = Values(file, name + ".uniform");
    return {.max_tokens = static_cast<int64_t>(uniform.size()),
            .sampling = SamplingOf(sampling),
            .draws = {uniform.begin(), uniform.end()}};
  }

  LanguageModel model;
  std::optional<Tokenizer> tokenizer;
  Safetensors file;

 private:
  void Read(const std::string& path, Result<Tokenizer> read, const std::string& reference) {
    auto opened = OpenLanguageModel(path);
    auto values = ReadSafetensors(reference);
    ASSERT_TRUE(opened) << opened.error().message;
    ASSERT_TRUE(read) << read.error().message;
    ASSERT_TRUE(values) << values.error().message;
    model = *std::move(opened);
    model.config.end_ids.clear();  // the reference's texts go on for as many tokens as there are
    tokenizer = *std::move(read);
    file = *std::move(values);
  }

  std::string tag_;
  testing::TempFolder folder_;
};

TEST(TextParity, GreedyAndDrawnTexts) {
  for (const std::string tag : kTags) {
    SCOPED_TRACE(tag);
    Writer writer(tag);
    ASSERT_TRUE(writer.tokenizer);
    const TextReport greedy = writer.Write({.max_tokens = 32, .sampling = {.greedy = true}});
    EXPECT_EQ(greedy.ids, Ids(writer.file, "greedy"));
    EXPECT_EQ(greedy.text, writer.Text("greedy"));
    EXPECT_EQ(greedy.end, TextEnd::kLimit);
    const TextReport penalised =
        writer.Write({.max_tokens = 32, .sampling = {.greedy = true, .repetition_penalty = 1.3}});
    EXPECT_EQ(penalised.ids, Ids(writer.file, "greedy.penalty1.3"));
    const json sampling = writer.Sampling();
    for (const char* name : {"sample", "sample.topp", "sample.topk"}) {
      const TextReport drawn = writer.Write(writer.Drawn(name, sampling[name]));
      EXPECT_EQ(drawn.ids, Ids(writer.file, name)) << name;
      if (std::string_view(name) == "sample") {
        EXPECT_EQ(drawn.text, writer.Text("sample"));
      }
    }
  }
}

TEST(TextParity, EndTokensEndATextAndAreNotShown) {
  for (const std::string tag : kTags) {
    SCOPED_TRACE(tag);
    Writer writer(tag);
    ASSERT_TRUE(writer.tokenizer);
    writer.model.config.end_ids = {writer.model.config.vocabulary - 1, Ids(writer.file, "greedy")[12]};
    const TextReport ended = writer.Write({.max_tokens = 32, .sampling = {.greedy = true}});
    EXPECT_EQ(ended.ids, Ids(writer.file, "stop"));
    EXPECT_EQ(ended.end, TextEnd::kEndToken);
    EXPECT_LT(ended.text.size(), writer.Text("greedy").size());
  }
}

// As the music app calls phi: two hundred tokens by given numbers.
TEST(TextParity, AWholeSongText) {
  Writer writer("phi-tiny");
  ASSERT_TRUE(writer.tokenizer);
  const json sampling = writer.Sampling()["lemm"];
  TextOptions options = writer.Drawn("lemm", sampling);
  options.max_tokens = 1000;
  options.max_length = sampling["max_length"];
  const TextReport song = writer.Write(options);
  EXPECT_EQ(song.ids, Ids(writer.file, "lemm"));
  EXPECT_EQ(song.end, TextEnd::kLimit);
}

TEST(TextParity, GgufFilesAreWhole) {
  Writer writer(LanguageCase("gguf-tiny.gguf"), LanguageCase("gguf-tiny.safetensors"));
  ASSERT_TRUE(writer.tokenizer);
  EXPECT_EQ(writer.tokenizer->Encode(writer.file.metadata.at("prompt")).value(), Ids(writer.file, "ids"));
  EXPECT_EQ(writer.Write({.max_tokens = 32, .sampling = {.greedy = true}}).text, writer.Text("greedy"));
  const TextReport drawn = writer.Write(writer.Drawn("sample", writer.Sampling()));
  EXPECT_EQ(drawn.ids, Ids(writer.file, "sample"));
  EXPECT_EQ(drawn.text, writer.Text("sample"));
}

TEST(Text, StopStringsEndItBefore) {
  Writer writer("qwen2-tiny");
  ASSERT_TRUE(writer.tokenizer);
  const std::string whole = writer.Text("greedy");
  const std::string stop = whole.substr(20, 6);
  const TextReport stopped =
      writer.Write({.max_tokens = 32, .stops = {stop, "\x01 never"}, .sampling = {.greedy = true}});
  EXPECT_EQ(stopped.text, whole.substr(0, whole.find(stop)));
  EXPECT_EQ(stopped.end, TextEnd::kStopString);
  EXPECT_LT(stopped.ids.size(), 32u);
}

class StopsAfter : public Observer {
 public:
  explicit StopsAfter(int asked) : left_(asked) {}
  bool Cancelled() override { return left_-- <= 0; }

 private:
  int left_;
};

TEST(Text, EndsWhereItMust) {
  Writer writer("gpt2-tiny");
  ASSERT_TRUE(writer.tokenizer);
  ThreadPool pool(1);
  const auto generator = Generator::Create(writer.model, 0, {.device = "cpu"}, pool, nullptr);
  ASSERT_TRUE(generator);
  Observer observer;
  TextReport report;
  const std::vector<int32_t> prompt = Ids(writer.file, "ids");
  // Positions are learned: 128 are all there are.
  ASSERT_TRUE(WriteText(**generator, nullptr, prompt, {.max_tokens = 1000}, {}, observer, report));
  EXPECT_EQ(report.end, TextEnd::kContext);
  EXPECT_EQ(report.ids.size() + prompt.size(), 128u);
  EXPECT_TRUE(report.text.empty());
  const auto error = [&](std::span<const int32_t> ids, const TextOptions& options) {
    const Status written = WriteText(**generator, nullptr, ids, options, {}, observer, report);
    return written ? std::string() : written.error().message;
  };
  EXPECT_NE(error(std::vector<int32_t>(128, 1), {}).find("128"), std::string::npos);
  EXPECT_NE(error(prompt, {.max_length = 20}).find("20"), std::string::npos);
  EXPECT_NE(error(std::vector<int32_t>{1, 99999}, {}).find("99999"), std::string::npos);
  EXPECT_NE(error({}, {}).find("prompt"), std::string::npos);
  EXPECT_NE(error(prompt, {.stops = {"x"}}).find("tokenizer"), std::string::npos);
  EXPECT_NE(error(prompt, {.sampling = {.temperature = -1}}).find("temperature"), std::string::npos);

  // Cancelled after three tokens: those are reported.
  StopsAfter few(3);
  const Status cancelled = WriteText(**generator, &*writer.tokenizer, prompt, {}, {}, few, report);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(report.ids.size(), 3u);
}

TEST(Text, TheSameSeedGivesTheSameText) {
  Writer writer("smollm2-tiny");
  ASSERT_TRUE(writer.tokenizer);
  const auto text = [&](uint64_t seed) { return writer.Write({.max_tokens = 24, .sampling = {.seed = seed}}).ids; };
  EXPECT_EQ(text(5), text(5));
  EXPECT_NE(text(5), text(6));
}

// A kernel, a packing or an allocation that fails at any point: the same text, one step down, and an error if strict.
TEST(Text, TheSameWhateverFails) {
  Writer writer(LanguageCase("gguf-tiny.gguf"), LanguageCase("gguf-tiny.safetensors"));
  ASSERT_TRUE(writer.tokenizer);
  const std::vector<int32_t> prompt = Ids(writer.file, "ids");
  ThreadPool pool(2);
  const auto run = [&](FaultInjector* faults, bool strict, Stats& stats, TextReport& report) -> Status {
    const SessionOptions session{.device = "cpu", .strict = strict, .faults = faults};
    TIMBRE_TRY(const auto generator, Generator::Create(writer.model, 0, session, pool, &stats));
    Observer observer;
    return WriteText(*generator, nullptr, prompt, {.max_tokens = 4, .sampling = {.greedy = true}}, {}, observer,
                     report);
  };
  FaultInjector counter;
  Stats none;
  TextReport healthy;
  ASSERT_TRUE(run(&counter, true, none, healthy));
  ASSERT_EQ(healthy.ids.size(), 4u);
  const bool full = testing::FullSweep();
  for (const FaultPoint point : {FaultPoint::kKernel, FaultPoint::kPack, FaultPoint::kAllocation}) {
    const int64_t count = counter.passes(point);
    ASSERT_GT(count, 0) << NameOf(point);
    const int64_t step = full ? 1 : std::max<int64_t>(1, count / 8);
    for (int64_t n = 0; n < count; n += step) {
      const std::string label = std::string(NameOf(point)) + ":" + std::to_string(n);
      FaultInjector once, again;
      once.FailAt(point, n);
      again.FailAt(point, n);
      Stats stats, ignored;
      TextReport report, refused;
      const Status ran = run(&once, false, stats, report);
      ASSERT_TRUE(ran) << label << ": " << ran.error().message;
      EXPECT_EQ(report.ids, healthy.ids) << label;
      EXPECT_EQ(stats.steps().size(), 1u) << label;
      EXPECT_FALSE(run(&again, true, ignored, refused)) << label;
    }
  }
}

TEST(PromptFiles, IdsAreNumbers) {
  EXPECT_EQ(ParseIds("1 2,3\n[4, 5]").value(), (std::vector<int32_t>{1, 2, 3, 4, 5}));
  for (const char* wrong : {"", "  ", "1 two", "-1", "1.5", "99999999999"}) EXPECT_FALSE(ParseIds(wrong)) << wrong;
}

}  // namespace
}  // namespace timbre
