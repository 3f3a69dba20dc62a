#include "runtime/device/gpu_presence.h"

#include <gtest/gtest.h>

#include "tests/e2e/program.h"
#include "tests/support/environment.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

class GpuPresence : public ::testing::Test {
 protected:
  void SetUp() override {
    if (MayHaveGpu("/nonexistent")) GTEST_SKIP() << "not here: a variable VK_… tells the loader where to look";
    for (const char* folder : {"dev/dri", "sys/class/drm/card0", "sys/bus/pci/devices/0000:00:02.0"})
      fs::create_directories(folder_ / folder);
    Write("dev/null", "");
    Write("dev/dri/card0", "");
    Pci("0x1234", "0x030000");
  }
  void Write(const std::string& file, const std::string& text) { testing::WriteAll(folder_ / file, text); }
  void Pci(const std::string& vendor, const std::string& kind) {
    Write("sys/bus/pci/devices/0000:00:02.0/vendor", vendor + "\n");
    Write("sys/bus/pci/devices/0000:00:02.0/class", kind + "\n");
  }
  bool May() const { return MayHaveGpu(folder_.path()); }

  const testing::TempFolder folder_;
};

TEST_F(GpuPresence, AScreenWithoutAProcessorIsNone) { EXPECT_FALSE(May()); }

TEST_F(GpuPresence, EveryKindOfDeviceFileIsOne) {
  for (const std::string file : {"dev/dri/renderD128", "sys/class/drm/renderD129", "dev/nvidiactl", "dev/nvidia0",
                                 "dev/nvhost-ctrl", "dev/mali0", "dev/kgsl-3d0", "dev/dxg"}) {
    Write(file, "");
    EXPECT_TRUE(May()) << file;
    fs::remove(folder_ / file);
    EXPECT_FALSE(May()) << file;
  }
}

TEST_F(GpuPresence, NvidiasIsOneBeforeItsModuleIsLoaded) {
  Pci("0x10de", "0x030200");
  EXPECT_TRUE(May());
  Pci("0x10de", "0x040300");  // its sound
  EXPECT_FALSE(May());
}

TEST_F(GpuPresence, WhoSteersTheLoaderIsAsked) {
  const Environment environment({{"VK_DRIVER_FILES", std::string("/some/driver.json")}});
  EXPECT_TRUE(May());
}

}  // namespace
}  // namespace timbre
