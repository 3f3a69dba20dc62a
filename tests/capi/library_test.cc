// The public library as others use it: installed in a folder of its own, and linked from there.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/e2e/program.h"
#include "tests/parity/speech_support.h"
#include "tests/support/places.h"

namespace timbre::testing {
namespace {

namespace fs = std::filesystem;

struct Shelled {
  int code = 0;
  std::string out;  // stderr too
};

Shelled Shell(const fs::path& folder, const std::string& command) {
  const fs::path log = folder / "shell.log";
  const int status = std::system(("cd " + folder.string() + " && (" + command + ") > shell.log 2>&1").c_str());
  Shelled shelled{WIFEXITED(status) ? WEXITSTATUS(status) : -1, ReadAll(log)};
  fs::remove(log);
  return shelled;
}

fs::path BuildFolder() { return fs::path(ProgramPath()).parent_path().parent_path(); }

// One installation for all tests; `fixed` holds the static library alone, which -ltimbre then finds.
class InstalledLibrary : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    unusable_ = "a library built for a sanitizer needs programs that are";
#else
    if (!fs::exists(BuildFolder() / "packages/timbre.pc")) {
      unusable_ = "this is no build folder";
      return;
    }
    root_ = new TempFolder;
    for (const char* component : {"library", "headers"}) {
      const Shelled done = Shell(root_->path(), "cmake --install " + BuildFolder().string() + " --component " +
                                                    component + " --prefix " + prefix().string());
      ASSERT_EQ(done.code, 0) << done.out;
    }
    fs::create_directories(fixed() / "lib");
    fs::copy(prefix() / "include", fixed() / "include", fs::copy_options::recursive);
    fs::copy(prefix() / "lib/pkgconfig", fixed() / "lib/pkgconfig", fs::copy_options::recursive);
    fs::create_hard_link(prefix() / "lib/libtimbre.a", fixed() / "lib/libtimbre.a");
#endif
  }
  static void TearDownTestSuite() {
    delete root_;
    root_ = nullptr;
  }
  void SetUp() override {
    if (!unusable_.empty()) GTEST_SKIP() << unusable_;
    WriteTestWav(folder_ / "song.wav", 1);
  }

  static fs::path prefix() { return *root_ / "prefix"; }
  static fs::path fixed() { return *root_ / "static"; }
  static std::string PkgConfig(const fs::path& from, const std::string& options) {
    return "$(PKG_CONFIG_PATH=" + (from / "lib/pkgconfig").string() + " pkg-config " + options + " timbre)";
  }
  static std::string Shared(const std::string& program) {
    return "LD_LIBRARY_PATH=" + (prefix() / "lib").string() + " " + program;
  }
  // What `timbre separate` writes for song.wav.
  void ExpectAsTheProgram(const fs::path& stems) {
    const Ran ran = RunTimbre({"separate", "--model", "hpss", "-o", "program", "song.wav"}, folder_.path());
    ASSERT_EQ(ran.code, 0) << ran.err;
    const std::vector<std::string> files = FilesIn(folder_ / "program");
    ASSERT_EQ(files, FilesIn(stems));
    for (const std::string& file : files) {
      EXPECT_EQ(ReadAll(folder_ / "program" / file), ReadAll(stems / file)) << file;
    }
  }
  // The first block of that language in docs/library.md.
  static std::string Documented(const std::string& language) {
    const std::string text = ReadAll(fs::path(SourceDir()) / "docs/library.md"), fence = "```" + language + "\n";
    const size_t begin = text.find(fence) + fence.size();
    return text.substr(begin, text.find("```\n", begin) - begin);
  }

  TempFolder folder_;

 private:
  static inline TempFolder* root_ = nullptr;
  static inline std::string unusable_;
};

TEST_F(InstalledLibrary, ShowsWhatIsPublicAndNothingElse) {
  EXPECT_EQ(FilesIn(prefix() / "include"), (std::vector<std::string>{"timbre/timbre.h", "timbre/timbre.hpp"}));
  for (const std::string how :
       {"nm -D --defined-only lib/libtimbre.so", "nm --defined-only --extern-only lib/libtimbre.a"}) {
    SCOPED_TRACE(how);
    const Shelled symbols = Shell(prefix(), how);
    ASSERT_EQ(symbols.code, 0) << symbols.out;
    std::istringstream lines(symbols.out.substr(symbols.out.find("0000")));  // after the name of an archive's member
    int functions = 0;
    for (std::string address, kind, name; lines >> address >> kind >> name; ++functions) {
      EXPECT_TRUE(name.starts_with("timbre_")) << name;
      EXPECT_EQ(kind, "T") << name;
    }
    EXPECT_GE(functions, 25);
  }
  const Shelled soname = Shell(folder_.path(), "readelf -d " + (prefix() / "lib/libtimbre.so").string());
  EXPECT_NE(soname.out.find("soname: [libtimbre.so.0]"), std::string::npos) << soname.out;
}

TEST_F(InstalledLibrary, ExamplesBuildByPkgConfigAndRun) {
  const std::string examples = (fs::path(SourceDir()) / "examples").string();
  for (const bool is_static : {false, true}) {
    const std::string flags =
        is_static ? PkgConfig(fixed(), "--static --cflags --libs") : PkgConfig(prefix(), "--cflags --libs");
    const Shelled built =
        Shell(folder_.path(), "cc -std=c11 -Wall -Wextra -Werror " + examples + "/separate.c -o separate " + flags +
                                  " && cc -std=c11 -Wall " + examples + "/denoise_live.c -o denoise_live " + flags);
    ASSERT_EQ(built.code, 0) << built.out;
    const Shelled linked = Shell(folder_.path(), "ldd separate");
    EXPECT_EQ(linked.out.find("libtimbre") == std::string::npos, is_static) << linked.out;
    const std::string out = is_static ? "static" : "shared";
    const Shelled ran = Shell(folder_.path(), Shared("./separate song.wav hpss " + out));
    ASSERT_EQ(ran.code, 0) << ran.out;
    ExpectAsTheProgram(folder_ / out);
  }
  const std::string model = MakeSmallModelFolder(folder_ / "model");
  WriteAll(folder_ / "in.f32", std::string(48000 * 4, '\0'));
  const Shelled live = Shell(folder_.path(), Shared("./denoise_live " + model + " 48000 < in.f32 > out.f32"));
  ASSERT_EQ(live.code, 0) << live.out;
  EXPECT_EQ(fs::file_size(folder_ / "out.f32"), 48000u * 4);
}

TEST_F(InstalledLibrary, ExamplesBuildByCMakeAndRun) {
  for (const std::string is_static : {"OFF", "ON"}) {
    const Shelled built =
        Shell(folder_.path(), "cmake -S " + (fs::path(SourceDir()) / "examples").string() + " -B build" + is_static +
                                  " -DCMAKE_PREFIX_PATH=" + prefix().string() + " -DSTATIC=" + is_static +
                                  " && cmake --build build" + is_static);
    ASSERT_EQ(built.code, 0) << built.out;
    const Shelled ran =
        Shell(folder_.path(), "head -c 352800 /dev/zero | build" + is_static + "/separate_cpp hpss 44100");
    ASSERT_EQ(ran.code, 0) << ran.out;
    EXPECT_EQ(ran.out, "harmonic 0.000000\npercussive 0.000000\n");
  }
}

TEST_F(InstalledLibrary, TheProgramsOfItsDocumentRun) {
  WriteAll(folder_ / "program.c", Documented("c"));
  WriteAll(folder_ / "program.cpp", Documented("cpp"));
  const std::string flags = PkgConfig(prefix(), "--cflags --libs");
  const Shelled built = Shell(folder_.path(), "cc -Wall -Werror program.c -o in_c " + flags +
                                                  " && c++ -std=c++17 -Wall -Werror program.cpp -o in_cpp " + flags);
  ASSERT_EQ(built.code, 0) << built.out;
  const Shelled in_c = Shell(folder_.path(), Shared("./in_c"));
  ASSERT_EQ(in_c.code, 0) << in_c.out;
  EXPECT_NE(in_c.out.find("\"event\":\"progress\""), std::string::npos) << in_c.out;
  ExpectAsTheProgram(folder_ / "out");
  const Shelled in_cpp = Shell(folder_.path(), Shared("./in_cpp 2>events"));
  ASSERT_EQ(in_cpp.code, 0) << in_cpp.out;
  EXPECT_EQ(in_cpp.out, "harmonic\npercussive\n");
  EXPECT_NE(ReadAll(folder_ / "events").find("\"stage\":\"compute\""), std::string::npos);
}

// A fresh virtual environment; NumPy is the system's.
TEST_F(InstalledLibrary, TheWheelSeparatesShowsProgressAndCancels) {
  const std::string python = "/usr/bin/python3";
  if (Shell(folder_.path(), python + " -c 'import numpy, venv, ensurepip'").code != 0) {
    GTEST_SKIP() << "python3-venv and python3-numpy are not installed";
  }
  const Shelled made = Shell(folder_.path(), python + " " + (fs::path(SourceDir()) / "tools/make_wheel.py").string() +
                                                 " " + BuildFolder().string() + " wheel && " + python +
                                                 " -m venv --system-site-packages fresh && fresh/bin/python -m pip "
                                                 "install --quiet --no-index --no-deps wheel/*.whl");
  ASSERT_EQ(made.code, 0) << made.out;
  WriteAll(folder_ / "program.py", Documented("python"));
  const Shelled ran = Shell(folder_.path(), "fresh/bin/python program.py");
  ASSERT_EQ(ran.code, 0) << ran.out;
  EXPECT_NE(ran.out.find("compute: "), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("percussive (2, 88200)"), std::string::npos) << ran.out;
  EXPECT_EQ(FilesIn(folder_ / "out").size(), 2u);
  const Shelled tested = Shell(
      folder_.path(), "fresh/bin/python -I " + (fs::path(SourceDir()) / "bindings/python/test_timbre.py").string());
  EXPECT_EQ(tested.code, 0) << tested.out;
}

}  // namespace
}  // namespace timbre::testing
