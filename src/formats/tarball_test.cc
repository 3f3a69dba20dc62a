#include "formats/tarball.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/e2e/program.h"

namespace timbre {
namespace {

using testing::ReadAll;
using testing::TempFolder;
using testing::WriteAll;

class Tarball : public ::testing::Test {
 protected:
  void Pack(const std::string& options, const std::string& what) {
    const std::string folder = folder_.path().string();
    ASSERT_EQ(std::system(("cd '" + folder + "' && tar " + options + " a.tar.gz " + what).c_str()), 0);
  }
  std::string path() const { return folder_ / "a.tar.gz"; }
  TempFolder folder_;
};

TEST_F(Tarball, GivesItsFiles) {
  std::filesystem::create_directories(folder_ / "x/y");
  WriteAll(folder_ / "x/one", "first");
  WriteAll(folder_ / "x/y/two", std::string(100'000, 'b'));
  WriteAll(folder_ / "x/empty", "");
  WriteAll(folder_ / "x/._one", "what macOS adds");
  std::filesystem::create_symlink("one", folder_ / "x/link");
  for (const char* options : {"-czf", "-cf"}) {
    Pack(options, "x");
    EXPECT_TRUE(LooksLikeTarball(path()));
    const auto files = ReadTarball(path());
    ASSERT_TRUE(files) << files.error().message;
    ASSERT_EQ(files->size(), 3u);
    EXPECT_EQ(files->at("x/one").text(), "first");
    EXPECT_EQ(files->at("x/empty").size(), 0u);
    EXPECT_EQ(files->at("x/y/two").text(), std::string(100'000, 'b'));
  }
}

TEST_F(Tarball, RefusesWhatIsCutShortOrNone) {
  WriteAll(path(), "no archive");
  EXPECT_FALSE(LooksLikeTarball(path()));
  EXPECT_FALSE(LooksLikeTarball(folder_ / "nothing"));
  EXPECT_EQ(ReadTarball(path()).error().code, ErrorCode::kCorrupt);
  std::string noise;
  for (int i = 0; i < 50'000; ++i) noise += static_cast<char>(i * 2654435761u >> 24);
  WriteAll(folder_ / "noise", noise);
  Pack("-czf", "noise");
  const std::string whole = ReadAll(path());
  for (const size_t size : {size_t{2}, size_t{100}, whole.size() / 2}) {
    WriteAll(path(), whole.substr(0, size));
    EXPECT_FALSE(ReadTarball(path())) << size;
  }
}

// A small file can't fill the memory.
TEST_F(Tarball, RefusesWhatUnpacksToFarMore) {
  WriteAll(folder_ / "zeros", std::string(80 << 20, '\0'));
  Pack("-czf", "zeros");
  const auto files = ReadTarball(path());
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, ErrorCode::kUnsupported) << files.error().message;
}

}  // namespace
}  // namespace timbre
