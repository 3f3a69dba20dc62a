#include "pipelines/made_by.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "base/file_mark.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

class MadeByTest : public ::testing::Test {
 protected:
  MadeByTest() : folder_(fs::temp_directory_path() / ("timbre-made-by-" + std::to_string(getpid()))) {
    fs::create_directories(folder_ / "models/drums");
    Write(folder_ / "a.ckpt", "weights");
  }
  ~MadeByTest() override { fs::remove_all(folder_); }
  static void Write(const fs::path& path, const std::string& bytes) { std::ofstream(path) << bytes; }
  std::string Made(const std::string& kind = "separate") {
    return MadeBy(kind, {{.name = "model", .value = &model_, .help = ""},
                         {.name = "overlap", .value = &overlap_, .help = ""},
                         {.name = "threads", .value = &threads_, .help = ""}});
  }
  fs::path folder_;
  std::string model_ = "hpss";
  double overlap_ = 0.25;
  int threads_ = 2;
};

TEST_F(MadeByTest, TellsOptionsApartThatChangeWhatIsWritten) {
  const std::string made = Made();
  EXPECT_EQ(made.size(), 64u);
  threads_ = 1;
  EXPECT_EQ(Made(), made);
  EXPECT_NE(Made("denoise"), made);
  overlap_ = 0.5;
  EXPECT_NE(Made(), made);
}

TEST_F(MadeByTest, TellsModelsApartByTheirFiles) {
  model_ = (folder_ / "a.ckpt").string();
  const std::string made = Made();
  EXPECT_EQ(Made(), made);
  fs::last_write_time(model_, fs::last_write_time(model_) + std::chrono::seconds(3));
  const std::string later = Made();
  EXPECT_NE(later, made);
  Write(folder_ / "a.yaml", "audio:");
  EXPECT_NE(Made(), later) << "the configuration that lies beside it";

  model_ = (folder_ / "models").string();
  const std::string empty = Made();
  Write(folder_ / "models/drums/kick.pth", "weights");
  EXPECT_NE(Made(), empty);
}

TEST_F(MadeByTest, TellsSeveralModelsApartByTheirFiles) {
  model_ = "hpss," + (folder_ / "a.ckpt").string();
  const std::string made = Made();
  EXPECT_EQ(Made(), made);
  Write(folder_ / "a.ckpt", "other weights");
  EXPECT_NE(Made(), made);
}

TEST_F(MadeByTest, MarksGoWithTheirFiles) {
  const std::string path = (folder_ / "a.ckpt").string(), moved = (folder_ / "b.ckpt").string();
  const std::string mark = OutputMark(Made(), "vocals");
  EXPECT_NE(mark, OutputMark(Made(), "drums"));
  EXPECT_EQ(OutputMark("", "drums"), "");
  const bool kept = MarkOf(path).has_value();
  EXPECT_EQ(IsMadeSo(path, mark), !kept);
  KeepMarks({path}, {mark});
  EXPECT_TRUE(IsMadeSo(path, mark));
  fs::rename(path, moved);
  EXPECT_TRUE(IsMadeSo(moved, mark));
  EXPECT_EQ(IsMadeSo(moved, OutputMark(Made(), "drums")), !kept);
  EXPECT_TRUE(IsMadeSo(moved, "")) << "where nothing is asked";
}

}  // namespace
}  // namespace timbre
