#include "base/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "base/paths.h"
#include "base/text.h"
#include "tests/e2e/program.h"

namespace timbre {
namespace {

using testing::FilesIn;
using testing::ReadAll;
using testing::TempFolder;
using testing::WriteAll;

// By whatever way, and before there is a file as well.
TEST(Files, OneFileHasManyPaths) {
  const TempFolder folder;
  const std::string path = (folder / "x").string(), again = (folder.path() / "." / "x").string();
  EXPECT_TRUE(IsSameFile(path, again));
  EXPECT_FALSE(IsSameFile(path, (folder / "y").string()));
  WriteAll(path, "text");
  std::filesystem::create_hard_link(path, folder / "y");
  EXPECT_TRUE(IsSameFile(again, (folder / "y").string()));
}

TEST(MapFile, GivesTheBytesAndOutlivesTheFile) {
  const TempFolder folder;
  const std::string path = (folder / "x").string();
  WriteAll(path, "some text");
  auto bytes = MapFile(path);
  ASSERT_TRUE(bytes);
  const SharedBytes slice = bytes->Slice(5, 4);
  std::filesystem::remove(path);
  *bytes = SharedBytes();
  EXPECT_EQ(slice.text(), "text");
}

TEST(MapFile, IsUntouchedByWhatHappensToTheFile) {
  const TempFolder folder;
  const std::string path = (folder / "x").string();
  const std::string text(100000, 'x');
  WriteAll(path, text);
  const auto bytes = MapFile(path);
  ASSERT_TRUE(bytes);
  EXPECT_TRUE(CheckMapped(bytes->shared()));
  std::filesystem::resize_file(path, 10);
  EXPECT_EQ(bytes->text(), text);
  const Status changed = CheckMapped(bytes->Slice(50000, 1).shared());
  ASSERT_FALSE(changed);
  EXPECT_NE(changed.error().message.find(path), std::string::npos) << changed.error().message;
  std::vector<std::byte> copy(5);
  EXPECT_TRUE(ReadMapped(bytes->shared(), 5, copy.data()));
  EXPECT_FALSE(ReadMapped(bytes->Slice(8, 5).shared(), 5, copy.data()));
  EXPECT_FALSE(ReadMapped(std::make_shared<const std::byte>(), 1, copy.data()));
}

TEST(MapFile, WhatIsNoFileIsAnError) {
  const TempFolder folder;
  WriteAll(folder / "empty", "");
  EXPECT_EQ(MapFile((folder / "empty").string())->size(), 0u);
  EXPECT_EQ(MapFile((folder / "missing").string()).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(MapFile(folder.path().string()).error().code, ErrorCode::kInvalidArgument);
  const std::string pipe = (folder / "pipe").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(MapFile(pipe).error().code, ErrorCode::kInvalidArgument);  // and does not wait
}

TEST(AtomicFile, AppearsWhenComplete) {
  const TempFolder folder;
  const std::string path = (folder / "out.wav").string();
  auto file = AtomicFile::Create(path);
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->Write("ab"));
  ASSERT_TRUE(file->Write("cd"));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(ReadAll(file->temporary_path()), "abcd");
  ASSERT_TRUE(file->Commit(true));
  EXPECT_EQ(ReadAll(path), "abcd");
  EXPECT_EQ(FilesIn(folder.path()).size(), 1u);
  EXPECT_FALSE(file->Write("x"));
  EXPECT_FALSE(file->Commit());
  EXPECT_EQ(ReadAll(path), "abcd");
}

TEST(AtomicFile, LeavesTheOldFileUnlessCommitted) {
  const TempFolder folder;
  const std::string path = (folder / "out").string();
  WriteAll(path, "old");
  {
    auto file = AtomicFile::Create(path);
    ASSERT_TRUE(file->Write("new"));
    AtomicFile moved = *std::move(file);
    ASSERT_TRUE(moved.Write("er"));
  }
  EXPECT_EQ(ReadAll(path), "old");
  EXPECT_EQ(FilesIn(folder.path()).size(), 1u);
  auto file = AtomicFile::Create(path);
  ASSERT_TRUE(file->Write("new"));
  ASSERT_TRUE(file->Commit());
  EXPECT_EQ(ReadAll(path), "new");
}

TEST(AtomicFile, PlacesThatCannotBeWritten) {
  const TempFolder folder;
  EXPECT_EQ(AtomicFile::Create((folder / "no/such").string()).error().code, ErrorCode::kIo);
  EXPECT_EQ(AtomicFile::Create(folder.path().string()).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(AtomicFile::Create(folder.path().string() + "/").error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(AtomicFile::Create(""));
  // A folder that takes the name in the meantime: an error, and nothing is left.
  auto file = AtomicFile::Create((folder / "x").string());
  std::filesystem::create_directories(folder / "x/y");
  EXPECT_FALSE(file->Commit());
  EXPECT_EQ(FilesIn(folder.path()).size(), 0u);
}

TEST(Paths, CacheFollowsTheBaseDirectorySpecification) {
  const auto get = [](const char* name) { return std::string(std::getenv(name) == nullptr ? "" : std::getenv(name)); };
  const std::string own = get("TIMBRE_CACHE"), old_cache = get("XDG_CACHE_HOME"), old_home = get("HOME");
  setenv("TIMBRE_CACHE", "/own", 1);
  EXPECT_EQ(*CacheDir(), "/own");
  unsetenv("TIMBRE_CACHE");
  setenv("HOME", "/home/someone", 1);
  setenv("XDG_CACHE_HOME", "/elsewhere", 1);
  EXPECT_EQ(*CacheDir(), "/elsewhere/timbre");
  setenv("XDG_CACHE_HOME", "relative", 1);
  EXPECT_EQ(*CacheDir(), "/home/someone/.cache/timbre");
  unsetenv("HOME");
  EXPECT_FALSE(CacheDir());
  old_cache.empty() ? unsetenv("XDG_CACHE_HOME") : setenv("XDG_CACHE_HOME", old_cache.c_str(), 1);
  if (!old_home.empty()) setenv("HOME", old_home.c_str(), 1);
  if (!own.empty()) setenv("TIMBRE_CACHE", own.c_str(), 1);
}

TEST(Text, Utf8) {
  for (const char* good : {"", "a", "\u00e9", "\u266b", "\U0010ffff", "\uffff"}) EXPECT_TRUE(IsUtf8(good)) << good;
  for (const char* bad : {"\x80", "\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                          "\xf4\x90\x80\x80", "\xff", "a\xe2\x99"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
  EXPECT_EQ(Printable("a\x1b[0m\n\xff\u266b\x7f"), "a?[0m??\u266b?");
  EXPECT_EQ(Printable("abcdef", 3), "abc…");
  EXPECT_EQ(Printable("ab\u266b", 3), "ab…");
}

// What a file, a checkpoint or a driver calls something drives no terminal and forges no line of a log.
TEST(Text, NothingThatControlsATerminalIsPrintable) {
  for (const char* control :
       {"\x01",   "\t",     "\n",     "\r",     "\x1b",   "\x7f",   "\u0080", "\u0085", "\u009b", "\u009d", "\u009f",
        "\u2028", "\u2029", "\u061c", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069", "\x9b",   "\xc3"}) {
    EXPECT_EQ(Printable(std::string("a") + control + "b"), "a?b") << ::testing::PrintToString(control);
    const bool line = std::string_view(control) == "\n";
    EXPECT_EQ(PrintableLines(std::string("a") + control + "b"), line ? "a\nb" : "a?b");
    EXPECT_EQ(PrintableLines(std::string("a") + control + "b", ' '), line ? "a b" : "a?b");
  }
  // Their neighbours are shown as they are.
  for (const char* shown :
       {" ", "~", "\u00a0", "\u2027", "\u202f", "\u2065", "\u206a", "\u0627", "\u200d", "\U0001f600"}) {
    EXPECT_EQ(Printable(shown), shown);
  }
  EXPECT_EQ(PrintableLines(std::string(5000, 'x')).size(), 5000u);
  EXPECT_EQ(PrintableJson("{\n \"a\": \"\u266b\u009b\u202e\x7f\"}"), "{\n \"a\": \"\u266b\\u009b\\u202e\\u007f\"}");
}

}  // namespace
}  // namespace timbre
