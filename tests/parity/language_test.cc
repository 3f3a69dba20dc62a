// Language models against the reference: scores of a prompt, of every step after it, what a greedy choice makes of
// them; in the official folders, their formula twins and GGUF files.
#include <algorithm>
#include <cstdlib>

#include "models/language/language_network.h"
#include "pipelines/text/generator.h"
#include "tests/parity/language_support.h"
#include "tests/support/sweep.h"

namespace timbre {
namespace {

using testing::Ids;
using testing::LanguageCase;
using testing::RatioDb;
using testing::SharedPath;
using testing::Values;
using Floats = std::vector<float>;

constexpr double kFloorDb = 100, kLongFloorDb = 95;
constexpr const char* kTags[] = {"phi-tiny", "smollm2-tiny", "llama3-tiny", "qwen2-tiny", "qwen3-tiny", "gpt2-tiny"};

int32_t Greedy(std::span<const float> scores) {
  return static_cast<int32_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

class Case {
 public:
  Case(const std::string& path, const std::string& reference) {
    auto opened = OpenLanguageModel(path);
    auto file = ReadSafetensors(reference);
    if (!opened || !file) {
      ADD_FAILURE() << (opened ? file.error().message : opened.error().message);
      return;
    }
    model = *std::move(opened);
    file_ = *std::move(file);
  }

  std::unique_ptr<Generator> Make(int64_t reserve = 0) {
    auto made = Generator::Create(model, reserve, {.device = "cpu", .strict = true}, pool_, nullptr);
    if (made) return *std::move(made);
    ADD_FAILURE() << made.error().message;
    return nullptr;
  }

  void CheckPrompt() {
    const auto generator = Make();
    ASSERT_NE(generator, nullptr);
    Floats scores;
    const Status read = generator->PrefillAll(Ids(file_, "ids"), [&](std::span<const float> rows) -> Status {
      scores.insert(scores.end(), rows.begin(), rows.end());
      return {};
    });
    ASSERT_TRUE(read) << read.error().message;
    const double db = RatioDb(Values(file_, "logits"), scores);
    std::printf("  %-14s logits %6.1f dB\n", model.name.c_str(), db);
    EXPECT_GE(db, kFloorDb);
  }

  // step.logits: what each of the greedy ids was chosen by, or only the last.
  void CheckSteps() {
    const auto generator = Make();
    ASSERT_NE(generator, nullptr);
    const std::vector<int32_t> greedy = Ids(file_, "greedy");
    auto scores = generator->Prefill(Ids(file_, "ids"));
    std::vector<int32_t> chosen;
    Floats all;
    while (true) {
      ASSERT_TRUE(scores) << scores.error().message;
      all.insert(all.end(), scores->begin(), scores->end());
      chosen.push_back(Greedy(*scores));
      if (chosen.size() == greedy.size()) break;
      scores = generator->Step(chosen.back());
    }
    EXPECT_EQ(chosen, greedy);
    const Floats reference = Values(file_, "step.logits");
    all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(reference.size()));
    const double db = RatioDb(reference, all);
    std::printf("  %-14s steps  %6.1f dB\n", model.name.c_str(), db);
    EXPECT_GE(db, kFloorDb);
  }

  // The last rows of one pass over many ids.
  void CheckLong() {
    const auto generator = Make();
    ASSERT_NE(generator, nullptr);
    const Floats reference = Values(file_, "logits");
    Floats scores;
    const Status read = generator->PrefillAll(Ids(file_, "ids"), [&](std::span<const float> rows) -> Status {
      scores.insert(scores.end(), rows.begin(), rows.end());
      return {};
    });
    ASSERT_TRUE(read) << read.error().message;
    scores.erase(scores.begin(), scores.end() - static_cast<std::ptrdiff_t>(reference.size()));
    const double db = RatioDb(reference, scores);
    std::printf("  %-14s long   %6.1f dB\n", model.name.c_str(), db);
    EXPECT_GE(db, kLongFloorDb);
  }

  const Safetensors& file() const { return file_; }
  LanguageModel model;

 private:
  Safetensors file_;
  ThreadPool pool_{2};
};

TEST(LanguageParity, FoldersByFormula) {
  for (const std::string tag : kTags) {
    SCOPED_TRACE(tag);
    const testing::TempFolder folder;
    testing::WriteLanguageFolder(tag, folder / tag);
    Case c(folder / tag, LanguageCase(tag + ".safetensors"));
    ASSERT_NE(c.model.weights, nullptr);
    c.CheckPrompt();
    c.CheckSteps();
  }
}

TEST(LanguageParity, OfficialFolders) {
  TIMBRE_NEED_SHARED(SharedPath("goldens/lm"));
  for (const std::string tag : kTags) {
    SCOPED_TRACE(tag);
    Case c(SharedPath("goldens/lm/" + tag), LanguageCase(tag + ".safetensors"));
    ASSERT_NE(c.model.weights, nullptr);
    c.CheckPrompt();
    c.CheckSteps();
  }
}

TEST(LanguageParity, Gguf) {
  Case c(LanguageCase("gguf-tiny.gguf"), LanguageCase("gguf-tiny.safetensors"));
  ASSERT_NE(c.model.weights, nullptr);
  EXPECT_NE(c.model.gguf, nullptr);
  c.CheckPrompt();
  c.CheckSteps();
}

TEST(LanguageParity, GgufOfLargeBlocks) {
  TIMBRE_NEED_SHARED(SharedPath("goldens/lm"));
  Case c(SharedPath("goldens/lm/gguf-tiny-k.gguf"), SharedPath("goldens/lm/gguf-tiny-k.safetensors"));
  ASSERT_NE(c.model.weights, nullptr);
  c.CheckPrompt();
  c.CheckSteps();
}

// Hundreds to thousands of tokens: angles of positions are products in float32.
TEST(LanguageParity, LongPrompts) {
  TIMBRE_NEED_SHARED(SharedPath("goldens/lm"));
  for (const std::string tag : {"phi-tiny", "llama3-tiny", "qwen2-tiny"}) {
    SCOPED_TRACE(tag);
    const std::string path = SharedPath("goldens/lm/" + tag);
    Case c(path, path + ".long.safetensors");
    ASSERT_NE(c.model.weights, nullptr);
    c.CheckLong();
  }
}

// Released widths by formula: gigabytes of weights, for ./dev sweep.
TEST(LanguageParity, ReleasedWidths) {
  TIMBRE_SWEEP_ONLY("language models of released widths were");
  TIMBRE_NEED_SHARED(SharedPath("goldens/lm"));
  for (const std::string name : {"phi2-wide", "qwen3-wide"}) {
    SCOPED_TRACE(name);
    const std::string path = SharedPath("goldens/lm/" + name);
    const auto file = ReadSafetensors(path + ".safetensors");
    ASSERT_TRUE(file) << file.error().message;
    LanguageModel model;
    const auto config = ParseLanguageConfig(file->metadata.at("config"));
    ASSERT_TRUE(config) << config.error().message;
    model.config = *config;
    model.weights = std::make_shared<const TensorMap>(testing::StoredFormulaWeights(path + ".weights.json"));
    ThreadPool pool(2);
    const auto generator = Generator::Create(model, 0, {.device = "cpu", .strict = true}, pool, nullptr);
    ASSERT_TRUE(generator) << generator.error().message;
    Floats scores;
    const std::vector<int32_t> ids = Ids(*file, "ids"), greedy = Ids(*file, "greedy");
    ASSERT_TRUE((*generator)->PrefillAll(ids, [&](std::span<const float> rows) -> Status {
      scores.insert(scores.end(), rows.begin(), rows.end());
      return {};
    }));
    const int64_t vocabulary = config->vocabulary;
    for (const auto& [slice, first] :
         {std::pair{"head", int64_t{0}}, {"mid", (vocabulary - 512) / 2}, {"tail", vocabulary - 512}}) {
      Floats ours;
      for (size_t row = 0; row < ids.size(); ++row) {
        const auto from = scores.begin() + static_cast<int64_t>(row) * vocabulary + first;
        ours.insert(ours.end(), from, from + 512);
      }
      const double db = RatioDb(Values(*file, std::string("logits.") + slice), ours);
      std::printf("  %-14s %-4s   %6.1f dB\n", name.c_str(), slice, db);
      EXPECT_GE(db, kFloorDb);
    }
    std::vector<int32_t> chosen{Greedy(std::span(scores).last(vocabulary))};
    while (chosen.size() < greedy.size()) chosen.push_back(Greedy((*generator)->Step(chosen.back()).value()));
    EXPECT_EQ(chosen, greedy);
  }
}

// However a prompt is cut, and wherever the cache grows: the same scores.
TEST(LanguageGenerator, PassesOfAnySizeAgree) {
  Case c(LanguageCase("gguf-tiny.gguf"), LanguageCase("gguf-tiny.safetensors"));
  ASSERT_NE(c.model.weights, nullptr);
  const std::vector<int32_t> once = Ids(c.file(), "ids");
  std::vector<int32_t> ids;
  while (ids.size() < 300) ids.insert(ids.end(), once.begin(), once.end());
  ids.resize(300);
  const auto scores_after = [&](const std::vector<size_t>& cuts) {
    const auto generator = c.Make();
    Floats last;
    size_t at = 0;
    for (const size_t cut : cuts) {
      const auto scores = generator->Prefill(std::span(ids).subspan(at, cut));
      EXPECT_TRUE(scores) << scores.error().message;
      if (scores) last.assign(scores->begin(), scores->end());
      at += cut;
    }
    EXPECT_EQ(at, ids.size());
    EXPECT_EQ(generator->position(), 300);
    EXPECT_EQ(generator->capacity(), 512);
    return last;
  };
  const Floats reference = scores_after(std::vector<size_t>(300, 1));
  for (const auto& cuts : {std::vector<size_t>{300}, {255, 45}, {256, 44}, {17, 200, 80, 3}, {1, 64, 191, 44}}) {
    EXPECT_GE(RatioDb(reference, scores_after(cuts)), kFloorDb);
  }
}

TEST(LanguageGenerator, GoesBackAndAgainForward) {
  Case c(LanguageCase("gguf-tiny.gguf"), LanguageCase("gguf-tiny.safetensors"));
  ASSERT_NE(c.model.weights, nullptr);
  const auto generator = c.Make();
  const std::vector<int32_t> ids = Ids(c.file(), "ids");
  const auto copy = [](Result<std::span<const float>> scores) {
    return scores ? Floats(scores->begin(), scores->end()) : Floats();
  };
  const Floats first = copy(generator->Prefill(ids));
  ASSERT_FALSE(first.empty());
  copy(generator->Step(7));
  copy(generator->Step(9));
  generator->Rewind(generator->position() - 3);
  EXPECT_EQ(generator->position(), static_cast<int64_t>(ids.size()) - 1);
  EXPECT_GE(RatioDb(first, copy(generator->Step(ids.back()))), kFloorDb);
  generator->Reset();
  EXPECT_EQ(copy(generator->Prefill(ids)), first);
}

TEST(LanguageGenerator, RefusesWhatTheModelCantRead) {
  Case c(LanguageCase("gguf-tiny.gguf"), LanguageCase("gguf-tiny.safetensors"));
  ASSERT_NE(c.model.weights, nullptr);
  const auto generator = c.Make();
  EXPECT_NE(generator->Prefill({}).error().message.find("prompt"), std::string::npos);
  EXPECT_NE(generator->Step(640).error().message.find("640"), std::string::npos);
  EXPECT_FALSE(generator->Step(-1));
  EXPECT_NE(generator->Prefill(std::vector<int32_t>(513, 1)).error().message.find("512"), std::string::npos);
  EXPECT_EQ(generator->position(), 0);
  // The context to its last place, and no further.
  ASSERT_TRUE(generator->Prefill(std::vector<int32_t>(511, 1)));
  EXPECT_TRUE(generator->Step(1));
  EXPECT_FALSE(generator->Step(1));
  EXPECT_EQ(generator->position(), 512);
}

TEST(LanguageGenerator, EndsWhereItIsCancelled) {
  Case c(LanguageCase("gguf-tiny.gguf"), LanguageCase("gguf-tiny.safetensors"));
  ASSERT_NE(c.model.weights, nullptr);
  std::atomic<bool> cancelled = false;
  ThreadPool pool(1);
  const auto generator = Generator::Create(c.model, 0, {.device = "cpu", .cancelled = &cancelled}, pool, nullptr);
  ASSERT_TRUE(generator);
  ASSERT_TRUE((*generator)->Step(1));
  cancelled = true;
  EXPECT_EQ((*generator)->Step(1).error().code, ErrorCode::kCancelled);
  EXPECT_EQ((*generator)->position(), 1);
  cancelled = false;
  EXPECT_TRUE((*generator)->Step(1));
}

}  // namespace
}  // namespace timbre
