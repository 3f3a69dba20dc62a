#include "store/fetch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <thread>

#include "base/file_lock.h"
#include "base/sha256.h"
#include "tests/support/loopback_server.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

// Of "weights", by sha256sum.
constexpr std::string_view kWeightsDigest = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c";

class FetchTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.cache = fs::path(testing::TempDir()) /
                     ("timbre-fetch-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(options_.cache);
    options_.pause_seconds = 0;
  }
  void TearDown() override { fs::remove_all(options_.cache); }

  void Write(const ModelFile& file, const std::string& bytes) {
    const fs::path path = ModelFilePath(options_.cache, model_, file);
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
  }

  FetchOptions options_;
  const ModelEntry model_{
      .name = "toy",
      .page = "https://example.org/toy",
      .files = {{.name = "toy.th", .url = "https://example.org/toy.th", .bytes = 7, .sha256 = kWeightsDigest},
                {.name = "deep/toy.yaml", .url = "https://example.org/toy.yaml", .role = ModelFileRole::kConfig}}};
  const LoopbackServer::Handler mirror_ = [](const LoopbackRequest& request, LoopbackConnection& connection) {
    if (request.path == "/mirror/toy/toy.th") return ServeFile("weights")(request, connection);
    if (request.path == "/mirror/toy/deep/toy.yaml") return ServeFile("config")(request, connection);
    connection.Answer("404 Not Found", "");
  };
};

class Recorder : public Observer {
 public:
  void OnProgress(const Progress& progress) override {
    EXPECT_GE(progress.done, done);
    done = progress.done;
  }
  int64_t done = 0;
};

// Some weights are not for everybody: nothing is asked of the network before the licence was accepted, and then of
// their authors, whatever mirror there is.
TEST_F(FetchTest, ALicenceThatComesFirstIsAcceptedFirst) {
  LoopbackServer mirror(mirror_);
  LoopbackServer authors([](const LoopbackRequest& request, LoopbackConnection& connection) {
    ServeFile(request.path == "/toy.th" ? "weights" : "config")(request, connection);
  });
  ModelEntry model = model_;
  model.licence = "Licence of Toys";
  model.licence_first = true;
  std::vector<std::string> urls = {authors.Url("/toy.th"), authors.Url("/toy.yaml")};
  for (size_t i = 0; i < urls.size(); ++i) model.files[i].url = urls[i];
  options_.mirror = mirror.Url("/mirror");
  const auto refused = PullModel(options_, model);
  ASSERT_FALSE(refused);
  for (const char* part : {"Licence of Toys", "https://example.org/toy", "--accept-licence"}) {
    EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
  }
  EXPECT_FALSE(fs::exists(options_.cache));
  options_.licence_accepted = true;
  const auto pulled = PullModel(options_, model);
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(authors.Requests().size(), 2u);
  EXPECT_TRUE(mirror.Requests().empty());
  // What is here is read without a word.
  options_.licence_accepted = false;
  EXPECT_TRUE(PullModel(options_, model));
}

TEST_F(FetchTest, PullVerifyAndRemove) {
  LoopbackServer server(mirror_);
  options_.mirror = server.Url("/mirror");
  EXPECT_EQ(StatusOfModel(options_.cache, model_).state, ModelState::kMissing);

  Recorder recorder;
  const auto pulled = PullModel(options_, model_, &recorder);
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(recorder.done, 13) << "both files are one progress";
  ASSERT_EQ(pulled->size(), 2u);
  EXPECT_EQ((*pulled)[0], options_.cache / "models" / "toy" / "toy.th");
  EXPECT_EQ((*pulled)[1], options_.cache / "models" / "toy" / "deep" / "toy.yaml");
  EXPECT_EQ(StatusOfModel(options_.cache, model_).state, ModelState::kInstalled);
  EXPECT_EQ(StatusOfModel(options_.cache, model_).bytes_on_disk, 13);

  ASSERT_TRUE(PullModel(options_, model_));
  EXPECT_EQ(server.Requests().size(), 2u) << "what is there is not fetched again";

  auto checks = VerifyModel(options_, model_);
  ASSERT_TRUE(checks) << checks.error().message;
  EXPECT_EQ((*checks)[0].verdict, FileVerdict::kGood) << (*checks)[0].detail;
  EXPECT_EQ((*checks)[1].verdict, FileVerdict::kUnchecked);

  const auto freed = RemoveModel(options_, model_);
  ASSERT_TRUE(freed) << freed.error().message;
  EXPECT_EQ(*freed, 13);
  EXPECT_FALSE(fs::exists(options_.cache / "models" / "toy"));
  EXPECT_EQ(*RemoveModel(options_, model_), 0);
}

TEST_F(FetchTest, VerifySaysWhatIsWrong) {
  Write(model_.files[0], "weightz");
  auto checks = *VerifyModel(options_, model_);
  EXPECT_EQ(checks[0].verdict, FileVerdict::kWrongDigest);
  EXPECT_EQ(checks[1].verdict, FileVerdict::kMissing);
  EXPECT_EQ(StatusOfModel(options_.cache, model_).state, ModelState::kIncomplete);

  Write(model_.files[0], "weight");
  checks = *VerifyModel(options_, model_);
  EXPECT_EQ(checks[0].verdict, FileVerdict::kWrongSize);
  EXPECT_FALSE(InstalledModelFiles(options_.cache, model_)) << "a file of the wrong size is no model";
}

TEST_F(FetchTest, PullReplacesAFileOfTheWrongSize) {
  Write(model_.files[0], "weight");
  LoopbackServer server(mirror_);
  options_.mirror = server.Url("/mirror/");
  const auto pulled = PullModel(options_, model_);
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ((*VerifyModel(options_, model_))[0].verdict, FileVerdict::kGood);
}

TEST_F(FetchTest, OfflineSaysWhichFileToPutWhere) {
  options_.offline = true;
  const auto pulled = PullModel(options_, model_);
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, ErrorCode::kNotFound);
  for (const std::string& part :
       {std::string("https://example.org/toy.th at "), (options_.cache / "models" / "toy" / "toy.th").string(),
        (options_.cache / "models" / "toy" / "deep" / "toy.yaml").string()}) {
    EXPECT_NE(pulled.error().message.find(part), std::string::npos) << pulled.error().message;
  }
}

TEST_F(FetchTest, AnUnreachableServerSaysSoAndWhatToDo) {
  {
    LoopbackServer server(mirror_);
    options_.mirror = server.Url("/mirror");
  }
  const auto pulled = PullModel(options_, model_);
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, ErrorCode::kIo);
  EXPECT_NE(pulled.error().message.find("put https://example.org/toy.th at "), std::string::npos)
      << pulled.error().message;
}

TEST_F(FetchTest, WhatNoProgramCanFetchIsExplained) {
  const ModelEntry& larsnet = **FindModel("larsnet");
  const auto pulled = PullModel(options_, larsnet);
  ASSERT_FALSE(pulled);
  EXPECT_NE(pulled.error().message.find("with a browser"), std::string::npos) << pulled.error().message;
  EXPECT_NE(pulled.error().message.find("pretrained_kick_unet.pth"), std::string::npos) << pulled.error().message;
}

TEST_F(FetchTest, AFileMissingOnTheServerLeavesTheOthers) {
  LoopbackServer server([](const LoopbackRequest& request, LoopbackConnection& connection) {
    if (request.path == "/toy/toy.th") return ServeFile("weights")(request, connection);
    connection.Answer("404 Not Found", "");
  });
  options_.mirror = server.Url("");
  EXPECT_EQ(PullModel(options_, model_).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(StatusOfModel(options_.cache, model_).state, ModelState::kIncomplete);
  EXPECT_EQ((*VerifyModel(options_, model_))[0].verdict, FileVerdict::kGood);
}

TEST_F(FetchTest, TwoAtATimeFetchOnce) {
  LoopbackServer server([&](const LoopbackRequest& request, LoopbackConnection& connection) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    mirror_(request, connection);
  });
  options_.mirror = server.Url("/mirror");
  std::optional<bool> first, second;
  std::thread other([&] { second = PullModel(options_, model_).has_value(); });
  first = PullModel(options_, model_).has_value();
  other.join();
  EXPECT_TRUE(*first);
  EXPECT_TRUE(*second);
  EXPECT_EQ(server.Requests().size(), 2u) << "each file once";
}

TEST_F(FetchTest, ABuiltInModelNeedsNothing) {
  const ModelEntry& hpss = **FindModel("hpss");
  EXPECT_EQ(StatusOfModel(options_.cache, hpss).state, ModelState::kBuiltIn);
  EXPECT_TRUE(PullModel(options_, hpss)->empty());
  EXPECT_FALSE(RemoveModel(options_, hpss));
  EXPECT_FALSE(fs::exists(options_.cache));
}

TEST_F(FetchTest, RemoveLeavesFilesThatAreNotOurs) {
  Write(model_.files[0], "weights");
  const fs::path notes = options_.cache / "models" / "toy" / "notes.txt";
  std::ofstream(notes) << "mine";
  EXPECT_EQ(*RemoveModel(options_, model_), 7);
  EXPECT_TRUE(fs::exists(notes));
}

// Sets a variable while it lives; nullptr unsets.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value != nullptr ? setenv(name, value, 1) : unsetenv(name);
  }
  ~ScopedVariable() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

TEST(FetchOptionsTest, FollowTheEnvironment) {
  const ScopedVariable home("HOME", "/home/someone"), shared("XDG_CACHE_HOME", nullptr), own("TIMBRE_CACHE", nullptr),
      offline("TIMBRE_OFFLINE", "1");
  EXPECT_EQ(FetchOptionsFromEnvironment()->cache, "/home/someone/.cache/timbre");
  EXPECT_TRUE(FetchOptionsFromEnvironment()->offline);
  const ScopedVariable shared_set("XDG_CACHE_HOME", "/caches"), offline_not("TIMBRE_OFFLINE", "0");
  EXPECT_EQ(FetchOptionsFromEnvironment()->cache, "/caches/timbre");
  EXPECT_FALSE(FetchOptionsFromEnvironment()->offline);
  const ScopedVariable shared_relative("XDG_CACHE_HOME", "caches");
  EXPECT_EQ(FetchOptionsFromEnvironment()->cache, "/home/someone/.cache/timbre");
  const ScopedVariable own_set("TIMBRE_CACHE", "/mine"), mirror("TIMBRE_MODEL_MIRROR", "http://mirror");
  EXPECT_EQ(FetchOptionsFromEnvironment()->cache, "/mine");
  EXPECT_EQ(FetchOptionsFromEnvironment()->mirror, "http://mirror");
  const ScopedVariable own_unset("TIMBRE_CACHE", nullptr), no_home("HOME", nullptr);
  EXPECT_EQ(FetchOptionsFromEnvironment().error().code, ErrorCode::kNotFound);
}

TEST(FileLockTest, HoldsOthersOffUntilItEnds) {
  const fs::path path = fs::path(testing::TempDir()) / ("timbre-lock-test" + std::to_string(getpid()));
  {
    const auto lock = FileLock::Acquire(path, {});
    ASSERT_TRUE(lock);
    int asked = 0;
    const auto other = FileLock::Acquire(path, [&] { return ++asked > 1; });
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, ErrorCode::kCancelled);
  }
  EXPECT_TRUE(FileLock::Acquire(path, [] { return true; }));
  fs::remove(path);
}

TEST(Sha256Test, KnowsThePublishedVectors) {
  const fs::path path = fs::path(testing::TempDir()) / ("timbre-sha-test" + std::to_string(getpid()));
  std::ofstream(path, std::ios::binary) << "abc";  // FIPS 180-2, appendix B.1
  EXPECT_EQ(*Sha256OfFile(path), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  std::ofstream(path, std::ios::binary) << "";
  EXPECT_EQ(*Sha256OfFile(path), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  fs::remove(path);
  EXPECT_EQ(Sha256OfFile(path).error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace timbre
