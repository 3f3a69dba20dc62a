#include "formats/formula_weights.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/e2e/program.h"
#include "tests/support/checksum.h"
#include "tests/support/places.h"

namespace timbre {
namespace {

using testing::TempFolder;
using testing::WriteAll;

// The values are those of an independent implementation of the same formula, in NumPy.
TEST(FormulaWeights, ListsAndGroupsOfLists) {
  const TempFolder folder;
  const std::string path = (folder / "x.weights.json").string();
  const std::string list = R"([{"name":"kick.x","shape":[2,2],"lo":-0.25,"hi":0.5}])";
  for (const std::string& text : {list, R"({"kick":)" + list + "}"}) {
    WriteAll(path, text);
    const auto weights = ReadFormulaWeights(path);
    ASSERT_TRUE(weights) << weights.error().message;
    ASSERT_EQ((*weights)->size(), 1u);
    EXPECT_EQ((*weights)->at("kick.x").shape, (Shape{2, 2}));
    EXPECT_EQ((*weights)->at("kick.x").ToF32(),
              (std::vector<float>{0x1.accf08p-2f, -0x1.0bff74p-3f, -0x1.7a7406p-3f, -0x1.97ebfep-3f}));
  }
}

TEST(FormulaWeights, ReferenceCases) {
  const std::string folder = testing::SourceDir() + "/../shared/goldens/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "SKIPPED: " << folder << " is missing";
  struct Case {
    const char* name;
    size_t tensors;
    uint32_t checksum;
  };
  for (const Case& c : {Case{"small/htdemucs-small", 465, 0xf760386d}, Case{"small/larsnet-small", 390, 0x70d18ba2},
                        Case{"deepfilternet/deepfilternet3", 116, 0x245c1825}}) {
    const auto weights = ReadFormulaWeights(folder + c.name + ".weights.json");
    ASSERT_TRUE(weights) << weights.error().message;
    EXPECT_EQ((*weights)->size(), c.tensors) << c.name;
    EXPECT_EQ(testing::Checksum(**weights), c.checksum) << c.name;
  }
}

TEST(FormulaWeights, WrongListsAreRefused) {
  const TempFolder folder;
  const std::string path = (folder / "x.weights.json").string();
  for (const char* text :
       {"", "x", "1", "[1]", R"({"a":1})", R"([{"name":"x"}])", R"([{"name":1,"shape":[1],"lo":0,"hi":1}])",
        R"([{"name":"x","shape":[-1],"lo":0,"hi":1}])", R"([{"name":"x","shape":[1.5],"lo":0,"hi":1}])",
        R"([{"name":"x","shape":[1],"lo":"0","hi":1}])", R"([{"name":"x","shape":[1000000,1000000],"lo":0,"hi":1}])",
        R"([{"name":"x","shape":[1000000000,1000000000,1000000000],"lo":0,"hi":1}])",
        R"([{"name":"x","shape":[1,1,1,1,1,1,1],"lo":0,"hi":1}])",
        R"([{"name":"x","shape":[1],"lo":0,"hi":1},{"name":"x","shape":[1],"lo":0,"hi":1}])"}) {
    WriteAll(path, text);
    const auto weights = ReadFormulaWeights(path);
    ASSERT_FALSE(weights) << text;
    EXPECT_TRUE(weights.error().message.starts_with(path)) << weights.error().message;
  }
  EXPECT_EQ(ReadFormulaWeights((folder / "missing").string()).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace timbre
