#include "base/temporary_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/file_faults.h"
#include "tests/e2e/program.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using testing::ReadAll;
using testing::TempFolder;
using testing::WriteAll;

// Hidden ones too.
size_t Entries(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(TemporaryFile, HasNoNameUntilItIsGivenOne) {
  const TempFolder folder;
  auto file = TemporaryFile::Nameable(folder.path().string());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(Entries(folder.path()), 0u);
  ASSERT_EQ(write(file->fd(), "abc", 3), 3);
  EXPECT_EQ(ReadAll(file->path()), "abc");
  const auto name = file->Name();
  ASSERT_TRUE(name) << name.error().message;
  EXPECT_EQ(ReadAll(*name), "abc");
  EXPECT_TRUE(IsHiddenName(fs::path(*name).filename().string())) << *name;
  EXPECT_EQ(*file->Name(), *name);
  file->Discard();
  EXPECT_EQ(Entries(folder.path()), 0u);
}

// Where the file system has no nameless files they are hidden, locked, and leave nothing either.
TEST(TemporaryFile, IsHiddenWhereItNeedsAName) {
  const TempFolder folder;
  SetFileFault([&](FileStep step, const std::string& path) {
    return step == FileStep::kCreate && path == folder.path() ? EOPNOTSUPP : 0;
  });
  auto file = TemporaryFile::Nameable(folder.path().string());
  auto scratch = TemporaryFile::Nameless(folder.path().string());
  SetFileFault({});
  ASSERT_TRUE(file && scratch);
  EXPECT_EQ(Entries(folder.path()), 1u);
  const std::string name = file->path();
  EXPECT_EQ(*file->Name(), name);
  const int other = open(name.c_str(), O_RDONLY);
  EXPECT_NE(flock(other, LOCK_EX | LOCK_NB), 0);
  close(other);
  file->Discard();
  EXPECT_EQ(Entries(folder.path()), 0u);
}

TEST(TemporaryFile, NamelessHoldsDataAndIsNotSeen) {
  const TempFolder folder;
  auto file = TemporaryFile::Nameless(folder.path().string());
  ASSERT_TRUE(file);
  ASSERT_EQ(write(file->fd(), "abc", 3), 3);
  TemporaryFile moved = *std::move(file);
  EXPECT_EQ(ReadAll(moved.path()), "abc");
  EXPECT_EQ(Entries(folder.path()), 0u);
  const auto missing = TemporaryFile::Nameless((folder / "no/such").string());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kIo);
  EXPECT_NE(missing.error().message.find("no/such"), std::string::npos) << missing.error().message;
}

TEST(TemporaryFolder, IsRemovedWithWhatIsInIt) {
  const TempFolder folder;
  {
    auto made = TemporaryFolder::Create(folder.path().string());
    ASSERT_TRUE(made) << made.error().message;
    WriteAll(fs::path(made->path()) / "x", "abc");
    const TemporaryFolder moved = *std::move(made);
    EXPECT_EQ(ReadAll(fs::path(moved.path()) / "x"), "abc");
  }
  EXPECT_EQ(Entries(folder.path()), 0u);
}

TEST(TemporaryFile, HiddenNamesAreTold) {
  for (const char* name : {".timbre-12-0", ".timbre-12-34.wav", ".timbre-1-2-3.old"}) EXPECT_TRUE(IsHiddenName(name));
  for (const char* name : {".timbre-", ".timbre-12", ".timbre-12-", ".timbre-x-1", ".timbre-1-2x", "timbre-1-2", ""}) {
    EXPECT_FALSE(IsHiddenName(name)) << name;
  }
}

// What a killed process left goes; what a living one holds, or what only looks alike, stays.
TEST(RemoveLeftovers, TakesWhatBelongsToNoLivingProcess) {
  const TempFolder folder;
  WriteAll(folder / ".timbre-999999-0.wav", "left");
  fs::create_directory(folder / ".timbre-999999-1");
  WriteAll(folder.path() / ".timbre-999999-1" / "song.wav", "left");
  WriteAll(folder / ".timbre-notes", "the user's");
  WriteAll(folder / "kept.wav", "kept");
  fs::create_symlink("kept.wav", folder / ".timbre-999999-2");

  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto file = TemporaryFile::Nameable(folder.path().string());
    const auto name = file->Name();
    if (write(ready[1], name->c_str(), name->size() + 1) < 0) _exit(1);
    while (true) pause();
  }
  char held[512] = {};
  ASSERT_GT(read(ready[0], held, sizeof(held) - 1), 0);
  auto own = TemporaryFolder::Create(folder.path().string());  // cleans first
  ASSERT_TRUE(own);
  EXPECT_FALSE(fs::exists(folder / ".timbre-999999-0.wav"));
  EXPECT_FALSE(fs::exists(folder / ".timbre-999999-1"));
  EXPECT_TRUE(fs::exists(folder / ".timbre-notes"));
  EXPECT_TRUE(fs::is_symlink(folder / ".timbre-999999-2"));
  EXPECT_EQ(ReadAll(folder / "kept.wav"), "kept");
  EXPECT_TRUE(fs::exists(held));
  EXPECT_TRUE(fs::exists(own->path()));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
}

TEST(EndBySignal, RemovesNamesAndEndsTheProcess) {
  const TempFolder folder;
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGTERM, [](int signal) { EndBySignal(signal); });
    fs::create_directories(folder / "made/deep");
    const NameToRemove outer((folder / "made").string()), inner((folder / "made/deep").string());
    auto file = TemporaryFile::Nameable((folder / "made/deep").string());
    const auto name = file->Name();
    auto scratch = TemporaryFolder::Create(folder.path().string());
    std::vector<NameToRemove> many;
    for (int i = 0; i < 200; ++i) {
      const std::string path = (folder / std::to_string(i)).string();
      WriteAll(path, "x");
      many.emplace_back(path);
    }
    many[7].Forget();
    {
      const SignalHold hold;
      std::raise(SIGTERM);
      WriteAll(folder / "held", "x");  // still runs
    }
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
  EXPECT_EQ(testing::FilesIn(folder.path()), (std::vector<std::string>{"7", "held"}));
  EXPECT_EQ(Entries(folder.path()), 2u);
}

}  // namespace
}  // namespace timbre
