// Commands whose work a server does: what they make and answer is what they make and answer here.
#include <cstring>
#include <filesystem>

#include "formats/safetensors.h"
#include "tests/e2e/serve_fixture.h"
#include "tests/support/environment.h"
#include "tests/support/golden.h"

namespace timbre::testing {
namespace {

namespace fs = std::filesystem;

class ServeCommandsTest : public ServeTest {
 protected:
  void SetUp() override {
    const fs::path model = folder_ / "cache" / "models" / "smollm2-135m" / "SmolLM2-135M-Instruct.Q4_1.gguf";
    fs::create_directories(model.parent_path());
    fs::copy_file(DataPath("lm/gguf-tiny.gguf"), model);
    fs::resize_file(model, 98362432);  // as long as the catalogue's, or that would be fetched in its place
    Start();
  }
  Ran There(std::vector<std::string> words) {
    for (const std::string& word : {std::string("--server"), "http://127.0.0.1:" + std::to_string(port_),
                                    std::string("--token-file"), (folder_ / "data" / "token").string()}) {
      words.push_back(word);
    }
    return RunTimbre(words, folder_.path());
  }
  // The same words with "OUT" for a folder, here and at the server: the same files of the same bytes, the same answer.
  void ExpectSame(const std::vector<std::string>& words) {
    for (const char* side : {"here", "there"}) {
      fs::remove_all(folder_ / side);
      std::vector<std::string> own = words;
      for (std::string& word : own) {
        if (const size_t at = word.find("OUT"); at != std::string::npos) word.replace(at, 3, side);
      }
      const bool here = std::string(side) == "here";
      fs::create_directories(folder_ / side);
      const Ran ran = here ? RunTimbre(own, folder_.path()) : There(own);
      ASSERT_EQ(ran.code, 0) << words[0] << ": " << ran.err;
      (here ? here_ : there_) = ran;
    }
    const std::vector<std::string> files = FilesIn(folder_ / "here");
    EXPECT_EQ(FilesIn(folder_ / "there"), files) << words[0];
    for (const std::string& file : files) {
      EXPECT_EQ(ReadAll(folder_ / "there" / file), ReadAll(folder_ / "here" / file)) << file;
    }
  }

  const Environment cache_{{{"TIMBRE_CACHE", (folder_ / "cache").string()}, {"TIMBRE_OFFLINE", "1"}}};
  Ran here_, there_;
};

TEST_F(ServeCommandsTest, MakeTheSameBytes) {
  for (const char* name : {"a.wav", "b.wav"}) WriteAll(folder_ / name, Wav(name[0] == 'a' ? 0.4 : 0.3));
  WriteAll(folder_ / "mine.yaml", "bands: [{type: peak, hz: 900, db: 4, q: 1}]\n");
  const std::string midi("MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\x0c\0\x99\x24\x64\x60\x89\x24\0\0\xff\x2f\0", 34);
  WriteAll(folder_ / "beat.mid", midi);
  TensorMap tensors;
  tensors.emplace("latents", HostTensor::FromF32({16, 3, 2, 4}, std::vector<float>(16 * 3 * 2 * 4, 0.25f)));
  ASSERT_TRUE(WriteSafetensors((folder_ / "latents.safetensors").string(), tensors));

  ExpectSame({"master", "a.wav", "b.wav", "--chain", "mine.yaml", "--loudness", "-20", "-o", "OUT"});
  ExpectSame({"notes", "beat.mid", "--audio", "a.wav", "--size", "320x180", "--fps", "10", "-o", "OUT/beat.mp4"});
  ExpectSame({"frames", "decode", "latents.safetensors", "--preview", "-o", "OUT/p_%d.png"});
  ExpectSame({"combine", "--mix", "a.wav", "b.wav", "--gains=-6,3", "--pans=-1,0.5", "-o", "OUT/mix.flac"});
  if (const std::string weights = SharedPath("goldens/gtcrn/gtcrn-dns3.tar"); fs::exists(weights)) {
    const fs::path model = folder_ / "cache" / "models" / "gtcrn-dns3" / "model_trained_on_dns3.tar";
    fs::create_directories(model.parent_path());
    fs::copy_file(weights, model);
    ExpectSame({"denoise", "a.wav", "--model", "gtcrn-dns3", "--device", "cpu", "-o", "OUT"});
  }
}

TEST_F(ServeCommandsTest, AnswerTheSame) {
  WriteAll(folder_ / "ids.txt", "1 2 3");
  ExpectSame({"text", "--ids", "ids.txt", "-n", "6", "--greedy", "--device", "cpu", "--logits", "OUT/s.safetensors"});
  EXPECT_FALSE(here_.out.empty());
  EXPECT_EQ(there_.out, here_.out);
  ExpectSame({"lyrics", "the sea", "--structure", "verse", "--lines", "1", "--seed", "1", "--device", "cpu"});
  EXPECT_TRUE(here_.out.starts_with("[verse]\n")) << here_.out;
  EXPECT_EQ(there_.out, here_.out);
  EXPECT_FALSE(fs::exists(folder_ / "lyrics.txt")) << "what nobody asked for";
  ExpectSame({"lyrics", "the sea", "--structure", "verse", "--lines", "1", "--seed", "1", "--device", "cpu", "-o",
              "OUT/words.txt"});
}

// Tables, of what is measured and makes no file: their heads once, however many jobs there were.
TEST_F(ServeCommandsTest, AnswerTheSameTables) {
  for (const char* name : {"a.wav", "b.wav", "c.wav"}) WriteAll(folder_ / name, Wav(0.5 + 0.1 * (name[0] - 'a')));
  const std::vector<std::vector<std::string>> commands = {{"score", "a.wav", "a.wav"},
                                                          {"score", "b.wav", "a.wav", "--shorter"},
                                                          {"loudness", "a.wav"},
                                                          {"loudness", "a.wav", "b.wav", "c.wav"},
                                                          {"style", "a.wav", "b.wav", "c.wav"}};
  for (const std::vector<std::string>& words : commands) {
    ExpectSame(words);
    EXPECT_FALSE(here_.out.empty());
    EXPECT_EQ(there_.out, here_.out) << words[0];
  }
}

// Two jobs that answer the same have both answered.
TEST_F(ServeCommandsTest, AnswerForEveryJob) {
  for (const char* folder : {"one", "two"}) {
    fs::create_directories(folder_ / folder);
    WriteAll(folder_ / folder / "a.wav", Wav(0.2));
  }
  const Ran ran = There({"separate", "--model", "hpss", "--dry-run", "one/a.wav", "two/a.wav"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const std::string line : {"a.wav: ", "  hpss/a/harmonic.wav\n", "in all: "}) {
    const size_t first = ran.out.find(line);
    ASSERT_NE(first, std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find(line, first + 1), std::string::npos) << ran.out;
  }
}

// Nothing that is amiss stays over there.
TEST_F(ServeCommandsTest, WarnTheSame) {
  WriteAll(folder_ / "quiet.wav", Wav(0.5));
  const std::vector<std::string> words = {"loudness", "quiet.wav", "--normalise", "-1", "-o", "OUT"};
  ExpectSame(words);
  EXPECT_TRUE(here_.err.starts_with("warning: ")) << here_.err;
  EXPECT_TRUE(there_.err.ends_with(here_.err)) << there_.err;
}

// A job that fails says why, and the others are waited for.
TEST_F(ServeCommandsTest, SayWhyOneOfThemFailed) {
  WriteAll(folder_ / "a.wav", Wav(0.1));
  WriteAll(folder_ / "b.wav", Wav(0.5));
  const Ran ran = There({"loudness", "a.wav", "b.wav", "--start", "0.2"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("warning: a.wav: 'a.wav' ends at 0.10 s"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("1 of 2 inputs could not be done"), std::string::npos) << ran.err;
  EXPECT_NE(ran.out.find("b.wav"), std::string::npos) << ran.out;
}

TEST_F(ServeCommandsTest, RefuseInOneSentenceWhatMakesNoSenseThere) {
  WriteAll(folder_ / "a.wav", Wav(0.1));
  WriteAll(folder_ / "beat.mid", "MThd");
  TensorMap tensors;
  tensors.emplace("latents", HostTensor::FromF32({16, 1, 2, 4}, std::vector<float>(16 * 2 * 4, 0.25f)));
  ASSERT_TRUE(WriteSafetensors((folder_ / "l.safetensors").string(), tensors));
  for (const char* out : {"p_%d.png", "p.mp4"}) {
    ASSERT_EQ(RunTimbre({"frames", "decode", "l.safetensors", "--preview", "-o", out}, folder_.path()).code, 0);
  }
  const std::vector<std::pair<std::vector<std::string>, const char*>> rows = {
      {{"text", "-"}, "standard input"},
      {{"song", "--lyrics", "-", "--style-text", "slow"}, "standard input"},
      {{"denoise", "-"}, "standard input"},
      {{"master"}, "name at least one file"},
      {{"score", "a.wav", "-"}, "standard input"},
      {{"score", "a.wav", "none.wav"}, "'none.wav' can't be read"},
      {{"master", "--stdout", "a.wav"}, "--stdout"},
      {{"master", "--list", "a.txt"}, "--list"},
      {{"denoise", "--live"}, "--live"},
      {{"notes", "beat.mid", "-o", "frames/"}, "folder"},
      {{"notes", "beat.mid"}, "the server refuses"},
      // The model that it lacks, and no name of a file.
      {{"frames", "encode", "p_0.png"}, "hunyuan-vae"},
      {{"frames", "encode", "p.mp4"}, "hunyuan-vae"},
      {{"frames", "encode", "beat.mid"}, "no audio file"},
      {{"text", "hi", "-n", "0"}, "--max-tokens 0 writes nothing"},
      {{"drums", "a.wav", "-m", "hpss"}, "gives no part of a drum kit"},
      {{"lyrics", "rain", "-m", "/x"}, "'/x'"},
  };
  for (const auto& [words, part] : rows) {
    const Ran ran = There(words);
    EXPECT_NE(ran.code, 0) << words[0];
    EXPECT_EQ(ran.out, "");
    EXPECT_NE(ran.err.find(part), std::string::npos) << words[0] << ": " << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  }
  const Ran token = RunTimbre({"denoise", "a.wav", "--token-file", "x"}, folder_.path());
  EXPECT_EQ(token.code, 2) << token.err;
}

}  // namespace
}  // namespace timbre::testing
