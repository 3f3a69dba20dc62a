// A trained model through the flow that commands use, against the reference's texts and scores.
#include "tests/support/real_language_model.h"

#include "pipelines/text/text.h"
#include "tests/parity/language_support.h"

namespace timbre {
namespace {

using testing::Ids;

TEST(RealLanguageModel, WritesWhatTheReferenceWrites) {
  TIMBRE_NEED_SHARED(testing::SharedPath("goldens/lm/smollm2-135m"));
  TIMBRE_NEED_REAL_LANGUAGE_MODEL(path);
  const auto model = OpenLanguageModel(path);
  ASSERT_TRUE(model) << model.error().message;
  const auto tokenizer = Tokenizer::FromGguf(*model->gguf);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  ThreadPool pool(2);
  const auto generator = Generator::Create(*model, 256, {.device = "cpu", .strict = true}, pool, nullptr);
  ASSERT_TRUE(generator) << generator.error().message;
  Observer observer;
  for (const std::string name : {"chat", "lemm"}) {
    SCOPED_TRACE(name);
    const auto file = ReadSafetensors(testing::SharedPath("goldens/lm/smollm2-135m/" + name + ".safetensors"));
    ASSERT_TRUE(file) << file.error().message;
    const std::vector<int32_t> prompt = Ids(*file, "ids");
    (*generator)->Reset();
    const auto scores = (*generator)->Prefill(prompt);
    ASSERT_TRUE(scores) << scores.error().message;
    const double db = testing::RatioDb(testing::Values(*file, "logits"), {scores->begin(), scores->end()});
    std::printf("  %s logits %.1f dB\n", name.c_str(), db);
    EXPECT_GE(db, 100);
    const auto texts = nlohmann::json::parse(file->metadata.at("texts"));
    TextReport report;
    ASSERT_TRUE(WriteText(**generator, &*tokenizer, prompt, {.max_tokens = 48, .sampling = {.greedy = true}}, {},
                          observer, report));
    EXPECT_EQ(report.ids, Ids(*file, "greedy"));
    EXPECT_EQ(report.text, texts["greedy"]);
    const auto uniform = testing::Values(*file, "sample.uniform");
    const TextOptions drawn{.max_tokens = 48,
                            .sampling = {.temperature = 0.9, .top_k = 50, .top_p = 0.95, .repetition_penalty = 1.2},
                            .draws = {uniform.begin(), uniform.end()}};
    ASSERT_TRUE(WriteText(**generator, &*tokenizer, prompt, drawn, {}, observer, report));
    EXPECT_EQ(report.ids, Ids(*file, "sample"));
    EXPECT_EQ(report.text, texts["sample"]);
  }
}

}  // namespace
}  // namespace timbre
