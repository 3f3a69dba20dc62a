#include "plots/roofline.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace timbre {
namespace {

TEST(Roofline, TheRidgePartsWhatMemoryBoundsFromWhatThePeakBounds) {
  const Roofline roof{.peak_gflops = 400, .bandwidth_gb_per_s = 50};
  EXPECT_EQ(roof.Bound(1), 50);
  EXPECT_EQ(roof.Bound(8), 400);
  EXPECT_EQ(roof.Bound(100), 400);
  EXPECT_DOUBLE_EQ(roof.Seconds(4e9, 1e9), 0.02);  // 4 operations a byte: the bytes take longer
  EXPECT_DOUBLE_EQ(roof.Seconds(40e9, 1e9), 0.1);  // 40: the operations do
  EXPECT_DOUBLE_EQ(roof.Seconds(0, 1e9), 0.02);    // a copy
  EXPECT_EQ(Roofline().Seconds(1e9, 1e9), 0);
}

TEST(Roofline, PicturesAreComplete) {
  const Roofline roof{.peak_gflops = 400, .bandwidth_gb_per_s = 50};
  std::vector<RooflinePoint> points;
  for (int i = 0; i < 40; ++i) points.push_back({"n", "op " + std::to_string(i % 9), 1e9 * i, 1e8, 0.01 * (i + 1)});
  points.push_back({"odd", "op 0", 1e9, 0, 0});  // neither bytes nor time
  const auto base = std::filesystem::temp_directory_path() / ("timbre-roofline-" + std::to_string(getpid()));
  for (const char* extension : {".png", ".svg"}) {
    const std::string path = base.string() + extension;
    ASSERT_TRUE(PlotRoofline(roof, points, "A <title> & more", path));
    std::ifstream in(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    if (path.ends_with("svg")) {
      EXPECT_NE(bytes.find("<svg"), std::string::npos);
      EXPECT_NE(bytes.find("</svg>"), std::string::npos);
      EXPECT_EQ(bytes.find("nan"), std::string::npos);
      EXPECT_EQ(bytes.find("inf"), std::string::npos);
    } else {
      EXPECT_EQ(bytes.substr(1, 3), "PNG");
      EXPECT_NE(bytes.find("IEND"), std::string::npos);
    }
    std::filesystem::remove(path);
  }
  EXPECT_TRUE(PlotRoofline(roof, {}, "", base.string() + ".svg"));
  std::filesystem::remove(base.string() + ".svg");
  EXPECT_FALSE(PlotRoofline(roof, points, "", base.string() + ".gif"));
  EXPECT_FALSE(PlotRoofline(roof, points, "", "/nowhere/at/all.png"));
}

}  // namespace
}  // namespace timbre
