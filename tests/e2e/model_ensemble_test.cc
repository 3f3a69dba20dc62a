// Several models in one separation, and models in a row, through the program: held against what its commands make one
// by one.
#include "pipelines/separate/model_ensemble.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/e2e/program.h"
#include "tests/support/golden.h"
#include "tests/support/places.h"

namespace timbre::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

class ModelEnsembles : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteTestWav(folder_ / "a.wav", 0.4);
    // The first has drums, bass, other, vocals, and the second the same in another order.
    fs::create_directories(folder_ / "models");
    fs::copy(DataPath("official/htdemucs-tiny-b9c4b409.th"), folder_ / "models/one.th");
    fs::copy(DataPath("separators/spleeter-4stems-tiny"), folder_ / "models/two", fs::copy_options::recursive);
  }
  Ran Run(Words words) { return RunTimbre(words, folder_.path()); }
  // Samples as they are, named by their stems below `folder`.
  Ran Separate(const std::string& models, const std::string& folder, Words more) {
    Words words = {"separate",        "-m",  models,   "-o",   folder,  "--name",   "{stem}.{ext}",
                   "--sample-format", "f32", "--clip", "none", "a.wav", "--device", "cpu"};
    words.insert(words.end(), more.begin(), more.end());
    return Run(std::move(words));
  }
  std::string Bytes(const std::string& path) { return ReadAll(folder_ / path); }

  TempFolder folder_;
};

TEST_F(ModelEnsembles, EachStemIsWhatCombineMakesOfTheModelsOwn) {
  ASSERT_EQ(Separate("models/one.th", "one", {}).code, 0);
  ASSERT_EQ(Separate("models/two", "two", {}).code, 0);
  const struct {
    const char* algorithm;
    Words weights;
  } cases[] = {{"avg_fft", {"--weights", "3,1"}}, {"min_wave", {}}, {"ensemble_wav", {}}};
  for (const auto& [algorithm, weights] : cases) {
    SCOPED_TRACE(algorithm);
    Words more = {"--ensemble", algorithm, "--json", "report.json"};
    more.insert(more.end(), weights.begin(), weights.end());
    const Ran ran = Separate("models/one.th,models/two", "both", more);
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(FilesIn(folder_ / "both"), (Words{"bass.wav", "drums.wav", "other.wav", "vocals.wav"}));
    EXPECT_NE(ran.err.find("50 %"), std::string::npos) << "progress is over both: " << ran.err;
    for (const char* stem : {"bass.wav", "vocals.wav"}) {
      Words combine = {"combine",
                       std::string("one/") + stem,
                       std::string("two/") + stem,
                       "--algorithm",
                       algorithm,
                       "-o",
                       "c.wav",
                       "--sample-format",
                       "f32",
                       "--clip",
                       "none"};
      combine.insert(combine.end(), weights.begin(), weights.end());
      ASSERT_EQ(Run(combine).code, 0);
      EXPECT_TRUE(Bytes(std::string("both/") + stem) == Bytes("c.wav")) << stem;
    }
    const Json report = Json::parse(Bytes("report.json"));
    EXPECT_EQ(report["model"]["name"], "one+two");
    EXPECT_EQ(report["model"]["networks"], 2);
    EXPECT_EQ(report["ensemble"]["algorithm"], algorithm);
    EXPECT_EQ(report["ensemble"]["models"], Json({"models/one.th", "models/two"}));
  }
}

// What only one of the models gives is that model's; --two-stems is each model's own rest.
TEST_F(ModelEnsembles, StemsOfSomeOfTheModelsAndTheRest) {
  ASSERT_EQ(Separate("models/two,hpss", "both", {"--stems", "Harmonic,drums"}).code, 0);
  EXPECT_EQ(FilesIn(folder_ / "both"), (Words{"drums.wav", "harmonic.wav"}));
  ASSERT_EQ(Separate("hpss", "one", {}).code, 0);
  EXPECT_TRUE(Bytes("both/harmonic.wav") == Bytes("one/harmonic.wav"));

  ASSERT_EQ(Separate("hpss,hpss", "rest", {"--two-stems", "harmonic", "--ensemble", "max_wave"}).code, 0);
  EXPECT_EQ(FilesIn(folder_ / "rest"), (Words{"harmonic.wav", "no_harmonic.wav"}));
  EXPECT_TRUE(Bytes("rest/no_harmonic.wav") == Bytes("one/percussive.wav"));
  // Done already, and by the same models.
  const Ran again =
      Separate("hpss,hpss", "rest", {"--two-stems", "harmonic", "--ensemble", "max_wave", "--skip-existing"});
  EXPECT_NE(again.out.find("skipped"), std::string::npos) << again.out << again.err;
}

TEST_F(ModelEnsembles, FromAPipeIntoAPipe) {
  const Ran file = Run({"separate", "-m", "hpss,hpss", "--stdout", "percussive", "a.wav", "-q"});
  ASSERT_EQ(file.code, 0) << file.err;
  const std::string pipe = "cd '" + folder_.path().string() + "' && cat a.wav | '" + ProgramPath() +
                           "' separate -m hpss,hpss --stdout percussive -q - > out.wav";
  ASSERT_EQ(std::system(pipe.c_str()), 0);
  EXPECT_GT(file.out.size(), 10000u);
  EXPECT_TRUE(Bytes("out.wav") == file.out);
}

TEST_F(ModelEnsembles, AChainIsItsStagesOneAfterTheOther) {
  ASSERT_EQ(Separate("hpss", "chain", {"--from", "harmonic,percussive", "--from-model", "hpss,hpss"}).code, 0);
  fs::create_directories(folder_ / "steps");
  std::string input = "a.wav";
  for (const char* stem : {"harmonic", "percussive", "harmonic"}) {
    ASSERT_EQ(Run({"separate", "-m", "hpss", "-o", "steps", "--name", std::string("of-{track}.{ext}"), "--stems", stem,
                   "--sample-format", "f32", "--clip", "none", input})
                  .code,
              0);
    input = "steps/of-" + fs::path(input).stem().string() + ".wav";
  }
  EXPECT_TRUE(Bytes("chain/harmonic.wav") == Bytes(input));
}

// Of what one model leaves to another a dry run knows too, with all that is asked of the files besides.
TEST_F(ModelEnsembles, ADryRunCountsTheStemsBetween) {
  const double stem = 44100 * 0.2 * 2 * 4 / 1e6;  // MB
  const auto meanwhile = [&](const std::string& models, const Words& more) {
    Words words = {"--dry-run", "--start", "0.1", "--duration", "0.2", "--json", "-"};
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = Separate(models, "out", words);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_FALSE(fs::exists(folder_ / "out"));
    return Json::parse(ran.out)["plan"]["temporary_mb"].get<double>();
  };
  EXPECT_NEAR(meanwhile("hpss", {}), 0, 1e-9);
  EXPECT_NEAR(meanwhile("hpss,hpss", {}), 4 * stem, 1e-9);
  EXPECT_NEAR(meanwhile("hpss,hpss", {"--stems", "percussive"}), 2 * stem, 1e-9);
  const Words chain = {"--from", "percussive,harmonic", "--from-model", "hpss,hpss"};
  EXPECT_NEAR(meanwhile("hpss", chain), 2 * stem, 1e-9);
  EXPECT_NEAR(meanwhile("hpss,hpss", chain), 6 * stem, 1e-9);
  // The rest is made, and lies there, although the stem alone is streamed.
  ASSERT_EQ(Run({"separate", "-m", "hpss,hpss", "--two-stems", "percussive", "--stdout", "percussive", "--clip", "none",
                 "--duration", "0.2", "--dry-run", "--json", "plan.json", "a.wav"})
                .code,
            0);
  EXPECT_NEAR(Json::parse(Bytes("plan.json"))["plan"]["temporary_mb"].get<double>(), 4 * stem, 1e-9);
}

// One gain for all files, of the part that is computed, behind a stem of another model.
TEST_F(ModelEnsembles, APartOfTheTrackAtAPeakBehindAStemOfAnother) {
  ASSERT_EQ(Run({"separate",   "-m",     "hpss,hpss", "--from",  "harmonic",    "--from-model", "hpss", "--two-stems",
                 "percussive", "--rest", "minus",     "--start", "0.1",         "--duration",   "0.2",  "--peak",
                 "-6",         "-o",     "part",      "--json",  "report.json", "a.wav"})
                .code,
            0);
  const Json track = Json::parse(Bytes("report.json"))["tracks"][0];
  EXPECT_EQ(track["samples"], 8820);
  ASSERT_EQ(track["outputs"].size(), 2u);
  double peak = 0;
  for (const Json& output : track["outputs"]) {
    EXPECT_EQ(output["samples"], 8820);
    EXPECT_EQ(output["gain"], track["outputs"][0]["gain"]);
    peak = std::max(peak, output["peak"].get<double>() * output["gain"].get<double>());
  }
  EXPECT_NEAR(peak, 0.501187, 1e-5);
}

TEST_F(ModelEnsembles, RefusesInOneSentenceAndLeavesNothing) {
  const auto expect = [&](const std::string& models, const Words& more, const std::string& part) {
    const Ran ran = Separate(models, "out", more);
    EXPECT_NE(ran.code, 0) << part;
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_FALSE(fs::exists(folder_ / "out")) << part;
  };
  expect("hpss", {"--ensemble", "avg_fft"}, "--ensemble has no effect: --model names one model");
  expect("hpss", {"--weights", "1,2"}, "--weights has no effect: --model names one model");
  expect("hpss,hpss", {"--ensemble", "max_fft", "--weights", "1,2"}, "--weights has no effect: only avg_wave");
  expect("hpss,hpss", {"--weights", "1"}, "2 models and 1 --weights");
  expect("hpss,hpss", {"--weights", "1,-1"}, "sum to more than nothing");
  expect("hpss,hpss", {"--ensemble", "best"}, "--ensemble cannot be 'best'");
  expect("hpss,none", {}, "there is no model 'none'");
  expect("hpss,", {}, "there is no model ''");
  expect("hpss,hpss", {"--stems", "vocals"}, "no stem 'vocals'");
  expect("models/two,hpss", {"--stems", "drums"}, "the model hpss gives none of the stems");
  expect("models/two,models/one.th", {"--segment", "9"}, "one: a segment of 9");
  expect("hpss,hpss", {"--config", "x.yaml"}, "--config is one model's");
  expect("hpss", {"--from", "harmonic,percussive"}, "2 stems and --from-model 1 models");
  const Words dry = {"--from", "drums,drums", "--from-model", "hpss,htdemucs", "--dry-run"};
  expect("hpss", dry, "a dry run fetches nothing, and the model htdemucs");
  std::string many = "hpss";
  for (int k = 0; k < 16; ++k) many += ",hpss";
  expect(many, {}, "2 to 16 models; there are 17");
}

TEST(CommonStemNames, FoldCaseAndNameTheRestOfTheVocals) {
  EXPECT_EQ(CommonStemName("Vocals", {"Vocals", "Instrumental"}), "vocals");
  for (const char* rest : {"Instrumental", "other", "accompaniment", "no_vocals"}) {
    EXPECT_EQ(CommonStemName(rest, {"vocals", rest}), "instrumental");
  }
  EXPECT_EQ(CommonStemName("other", {"drums", "bass", "other", "vocals"}), "other");
  EXPECT_EQ(CommonStemName("Other", {"Aspiration", "Other"}), "other");
}

}  // namespace
}  // namespace timbre::testing
