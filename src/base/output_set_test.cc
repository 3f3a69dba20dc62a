#include "base/output_set.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "base/file_faults.h"
#include "tests/e2e/program.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using testing::FilesIn;
using testing::ReadAll;
using testing::TempFolder;
using testing::WriteAll;
using Names = std::vector<std::string>;

// Until the end of the scope, the nth step of the file system fails, or none; counts them.
class FaultAt {
 public:
  // `named`: as on a file system that has no files without a name.
  explicit FaultAt(int nth, bool named = false) {
    SetFileFault([this, nth, named](FileStep step, const std::string& path) {
      if (named && step == FileStep::kCreate && fs::is_directory(path)) return EOPNOTSUPP;
      return steps_++ == nth ? EIO : 0;
    });
  }
  ~FaultAt() { SetFileFault({}); }
  int steps() const { return steps_; }

 private:
  int steps_ = 0;
};

// Everything below a folder: names, and what is in the files.
std::map<std::string, std::string> All(const fs::path& folder) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    all[fs::relative(entry.path(), folder).string()] = entry.is_directory() ? "a folder" : ReadAll(entry.path());
  }
  return all;
}

// Old files, new ones, new folders, one that comes from a temporary folder.
Status WriteAllOutputs(const fs::path& folder) {
  OutputSet outputs;
  TIMBRE_TRY(const TemporaryFolder passing, TemporaryFolder::Create(folder.string()));
  for (const char* name : {"old.wav", "new.wav", "made/deep/new.wav", "sub/old.wav"}) {
    TIMBRE_TRY(AtomicFile file, outputs.Create((folder / name).string()));
    TIMBRE_CHECK(file.Write("what is new"));
    TIMBRE_CHECK(file.Commit());
  }
  WriteAll(fs::path(passing.path()) / "x", "what is new");
  TIMBRE_CHECK(outputs.Move(passing.path() + "/x", (folder / "sub/moved.wav").string()));
  return outputs.Commit();
}

void MakeOld(const fs::path& folder) {
  fs::create_directory(folder / "sub");
  WriteAll(folder / "old.wav", "what is old");
  WriteAll(folder / "sub/old.wav", "what is old");
}

TEST(OutputSet, ReplacesAllTogetherOrNothing) {
  for (const bool named : {false, true}) {
    int nth = 0;
    for (;; ++nth) {
      const TempFolder folder;
      MakeOld(folder.path());
      const auto before = All(folder.path());
      Status status;
      {
        const FaultAt fault(nth, named);
        status = WriteAllOutputs(folder.path());
        if (fault.steps() <= nth) break;
      }
      ASSERT_FALSE(status) << nth;
      EXPECT_EQ(status.error().code, ErrorCode::kIo);
      EXPECT_NE(status.error().message.find("Input/output error"), std::string::npos) << status.error().message;
      EXPECT_EQ(All(folder.path()), before) << "step " << nth;
    }
    EXPECT_GT(nth, 25);
  }
  const TempFolder folder;
  MakeOld(folder.path());
  const FaultAt none(-1);
  const Status status = WriteAllOutputs(folder.path());
  ASSERT_TRUE(status) << status.error().message;
  const std::map<std::string, std::string> want = {{"old.wav", "what is new"},
                                                   {"new.wav", "what is new"},
                                                   {"made", "a folder"},
                                                   {"made/deep", "a folder"},
                                                   {"sub", "a folder"},
                                                   {"made/deep/new.wav", "what is new"},
                                                   {"sub/old.wav", "what is new"},
                                                   {"sub/moved.wav", "what is new"}};
  EXPECT_EQ(All(folder.path()), want);
}

// A name that leads to something else than a file keeps what it has.
TEST(OutputSet, ReplacesNeitherPipesNorDevices) {
  const TempFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  fs::create_symlink("/dev/null", folder / "device");
  fs::create_directory(folder / "folder");
  for (const char* name : {"pipe", "device", "folder"}) {
    const auto file = AtomicFile::Create((folder / name).string());
    ASSERT_FALSE(file) << name;
    EXPECT_EQ(file.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(file.error().message.find("give a file name"), std::string::npos) << file.error().message;
  }
  EXPECT_TRUE(fs::is_fifo(folder / "pipe"));
  EXPECT_TRUE(fs::is_symlink(folder / "device"));
  EXPECT_EQ(FilesIn(folder.path()).size(), 2u) << "nothing else is left";
}

TEST(OutputSet, LeavesNothingWithoutCommit) {
  const TempFolder folder;
  MakeOld(folder.path());
  const auto before = All(folder.path());
  {
    OutputSet outputs;
    auto whole = outputs.Create((folder / "made/a.wav").string()), part = outputs.Create((folder / "old.wav").string());
    ASSERT_TRUE(whole && part && whole->Write("x") && whole->Commit() && part->Write("y"));
  }
  EXPECT_EQ(All(folder.path()), before);
  OutputSet twice;
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(twice.Create((folder / "a").string())->Commit());
  EXPECT_EQ(twice.Commit().error().code, ErrorCode::kInternal);
  EXPECT_EQ(All(folder.path()), before);
}

// Killed at any step, a process leaves what the next one that writes there makes good: all old, or all new.
TEST(OutputSet, AKilledProcessIsMadeGoodByTheNext) {
  int mixed = 0;
  for (int nth = 0;; ++nth) {
    const TempFolder folder;
    MakeOld(folder.path());
    const auto before = All(folder.path());
    const pid_t child = fork();
    if (child == 0) {
      int steps = 0;
      SetFileFault([&](FileStep, const std::string&) { return steps++ == nth ? kill(getpid(), SIGKILL) : 0; });
      _exit(WriteAllOutputs(folder.path()) ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      break;
    }
    if (All(folder.path()) != before) ++mixed;
    for (const char* sub : {".", "sub", "made/deep"}) {
      if (fs::exists(folder / sub)) RemoveLeftovers((folder / sub).string());
    }
    EXPECT_EQ(ReadAll(folder / "old.wav"), "what is old") << "step " << nth;
    EXPECT_EQ(ReadAll(folder / "sub/old.wav"), "what is old") << "step " << nth;
    EXPECT_EQ(FilesIn(folder.path()), (Names{"old.wav", "sub/old.wav"})) << "step " << nth;
  }
  EXPECT_GT(mixed, 4);
}

// What was written under a new file's name after the kill is somebody's work.
TEST(OutputSet, PuttingBackLeavesLaterFilesAlone) {
  const TempFolder folder;
  WriteAll(folder / "a", "old");
  const pid_t child = fork();
  if (child == 0) {
    int renames = 0;
    SetFileFault([&](FileStep step, const std::string&) {
      return step == FileStep::kRename && renames++ == 2 ? kill(getpid(), SIGKILL) : 0;
    });
    OutputSet outputs;
    for (const char* name : {"a", "b", "c"}) {
      auto file = outputs.Create((folder / name).string());
      if (!file || !file->Write("new") || !file->Commit()) _exit(1);
    }
    _exit(outputs.Commit() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  for (const char* name : {"a", "b"}) {
    ASSERT_EQ(ReadAll(folder / name), "new");
    fs::remove(folder / name);
    WriteAll(folder / name, "later");
  }
  RemoveLeftovers(folder.path().string());
  EXPECT_EQ(ReadAll(folder / "a"), "later");
  EXPECT_EQ(ReadAll(folder / "b"), "later");
  EXPECT_EQ(FilesIn(folder.path()), (Names{"a", "b"}));
}

// A journal is bytes from outside: what it may name is in its own folder and hidden.
TEST(OutputSet, JournalsThatAreNoneDoNoHarm) {
  const auto zeros = [](std::string text) {
    std::replace(text.begin(), text.end(), '|', '\0');
    return text;
  };
  for (const char* text : {"", "timbre undo 1", "timbre undo 1|", "timbre undo 1|||x|kept|1|",
                           "timbre undo 1||../kept|x|y|1|", "timbre undo 1|kept||x|y|1|", "timbre undo 1||kept|x|y|1|",
                           "timbre undo 1||.timbre-1-2.old|x|../y|1|", "timbre undo 1||||kept|9|", "nothing|0|"}) {
    const TempFolder folder;
    fs::create_directory(folder / "in");
    WriteAll(folder / "kept", "kept");
    WriteAll(folder / "in/kept", "kept");
    WriteAll(folder / "in/.timbre-999999-1.undo", zeros(text));
    RemoveLeftovers((folder / "in").string());
    EXPECT_EQ(FilesIn(folder.path()), (Names{"in/kept", "kept"})) << text;
  }
}

}  // namespace
}  // namespace timbre
