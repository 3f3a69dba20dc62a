#include "models/named_model.h"

#include <gtest/gtest.h>

#include "tests/e2e/program.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

// Reports and folders of outputs have this name: it is never empty, and no ".".
TEST(NamedModel, IsCalledByTheLastPartOfItsPath) {
  const testing::TempFolder folder;
  fs::create_directories(folder / "net-2.4/inner");
  testing::WriteAll(folder / "spleeter.tar.gz", "x");
  testing::WriteAll(folder / "ep.317.ckpt", "x");
  EXPECT_EQ(NameOfModelAt(folder / "net-2.4"), "net-2.4");
  EXPECT_EQ(NameOfModelAt(folder / "net-2.4/"), "net-2.4");
  EXPECT_EQ(NameOfModelAt(folder / "net-2.4/."), "net-2.4");
  EXPECT_EQ(NameOfModelAt(folder / "net-2.4/inner/.."), "net-2.4");
  EXPECT_EQ(NameOfModelAt(folder / "spleeter.tar.gz"), "spleeter");
  EXPECT_EQ(NameOfModelAt(folder / "ep.317.ckpt"), "ep.317");
  EXPECT_EQ(NameOfModelAt("."), fs::current_path().filename().string());
  EXPECT_EQ(NameOfModelAt("/"), "model");
}

}  // namespace
}  // namespace timbre
