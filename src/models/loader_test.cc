#include "models/loader.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/golden.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using testing::SharedPath;

const std::string kFour = "goldens/htdemucs/htdemucs-tiny-b9c4b409.th";
const std::string kSix = "goldens/htdemucs/htdemucs6s-tiny-155ea895.th";

class LoaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ("timbre_loader_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  void Link(const std::string& golden, const std::string& name) {
    fs::create_symlink(fs::absolute(SharedPath(golden)), folder_ / name);
  }
  static void ExpectError(const std::string& name, ErrorCode code, const std::string& words) {
    const auto model = LoadModel(name);
    ASSERT_FALSE(model) << name;
    EXPECT_EQ(model.error().code, code) << model.error().message;
    EXPECT_NE(model.error().message.find(words), std::string::npos) << model.error().message;
  }

  fs::path folder_;
};

TEST_F(LoaderTest, ReadsAPackage) {
  TIMBRE_NEED_SHARED(SharedPath(kSix));
  const auto model = LoadModel(SharedPath(kSix));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->name, "htdemucs6s-tiny-155ea895");
  EXPECT_EQ(model->info().stems, (std::vector<std::string>{"drums", "bass", "other", "vocals", "guitar", "piano"}));
  EXPECT_DOUBLE_EQ(model->info().segment, 39.0 / 20.0);
  const auto plan = model->members[0]->Plan(1000000, {});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->tile, 85995);
}

TEST_F(LoaderTest, ReadsABag) {
  TIMBRE_NEED_SHARED(SharedPath(kFour));
  Link(kFour, "aaaa-12345678.th");
  Link(kFour, "bbbb.th");
  const std::string bag =
      Write("bag.yaml", "models: ['aaaa', 'bbbb']\nweights: [[1., 0, 0, 1], [0, 1., 1., 1]]\nsegment: 44\n");
  const auto model = LoadModel(bag);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->name, "bag");
  EXPECT_EQ(model->members.size(), 2u);
  EXPECT_EQ(model->weights, (std::vector<std::vector<float>>{{1, 0, 0, 1}, {0, 1, 1, 1}}));
  EXPECT_EQ(model->segment, 44);
  const auto equal = LoadModel(Write("equal.yaml", "models: ['aaaa', 'bbbb']"));
  ASSERT_TRUE(equal) << equal.error().message;
  EXPECT_EQ(equal->weights, std::vector<std::vector<float>>(2, std::vector<float>(4, 1.0f)));
}

TEST_F(LoaderTest, RefusesBagsThatMakeNoSense) {
  TIMBRE_NEED_SHARED(SharedPath(kFour));
  Link(kFour, "aaaa.th");
  Link(kSix, "cccc.th");
  ExpectError(Write("a.yaml", "models: ['aaaa', 'cccc']"), ErrorCode::kCorrupt, "differ in stems");
  ExpectError(Write("b.yaml", "models: ['nope']"), ErrorCode::kNotFound, "'nope.th'");
  ExpectError(Write("c.yaml", "models: ['../aaaa']"), ErrorCode::kNotFound, "../aaaa");
  ExpectError(Write("d.yaml", "models: ['aaaa']\nweights: [[0, 1, 1, 1]]"), ErrorCode::kCorrupt, "'drums'");
  ExpectError(Write("e.yaml", "models: ['aaaa']\nweights: [[1, 1]]"), ErrorCode::kCorrupt, "weight for each stem");
  ExpectError(Write("f.yaml", "models: ['aaaa']\nweights: [[a]]"), ErrorCode::kCorrupt, "f.yaml");
  ExpectError(Write("g.yaml", "models: []"), ErrorCode::kUnsupported, "no bag");
  ExpectError(Write("h.yaml", "audio: {chunk_size: 3}"), ErrorCode::kUnsupported, "--model");
  ExpectError(Write("i.yaml", "models: ["), ErrorCode::kCorrupt, "i.yaml");
  ExpectError(Write("j.yaml", "models: ['aaaa']\nsegment: -1"), ErrorCode::kCorrupt, "segment");
}

TEST_F(LoaderTest, RefusesWhatIsNoModel) {
  ExpectError(folder_ / "missing.th", ErrorCode::kNotFound, "missing.th");
  ExpectError("htdemuc", ErrorCode::kNotFound, "htdemucs");
  ExpectError("gtcrn-dns3", ErrorCode::kInvalidArgument, "does not separate");
  ExpectError(Write("text.th", "this is text"), ErrorCode::kUnsupported, "text.th");
  ExpectError(Write("empty.th", ""), ErrorCode::kCorrupt, "empty.th");
}

TEST_F(LoaderTest, HpssNeedsNoFile) {
  const auto model = LoadModel("hpss");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->info().stems, (std::vector<std::string>{"harmonic", "percussive"}));
}

}  // namespace
}  // namespace timbre
