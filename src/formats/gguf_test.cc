#include "formats/gguf.h"

#include <gtest/gtest.h>

#include "graph/blocks.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/golden.h"

namespace timbre {
namespace {

using testing::GgufWriter;

Result<GgufFile> Read(const GgufWriter& writer) { return ReadGguf(SharedBytes::Own(writer.Build())); }

std::string ErrorOf(const Result<GgufFile>& file) { return file ? "" : file.error().message; }

GgufWriter Small(uint32_t version = 3) {
  GgufWriter writer(version);
  writer.Text("general.architecture", "llama")
      .U32("llama.block_count", 3)
      .F32("llama.eps", 1e-5f)
      .Bool("flag", true)
      .Texts("tokens", {"a", "", "\xC4\xA0"})
      .I32s("types", {1, -3})
      .Tensor("a", {2, 3}, 0, GgufWriter::Floats({1, 2, 3, 4, 5, 6}))
      .Tensor("b", {4}, 1, std::string("\0\x3C\0\x40\0\xC0\0\0", 8));
  return writer;
}

TEST(Gguf, ReadsWhatWasWritten) {
  for (const uint32_t version : {2u, 3u}) {
    const auto file = Read(Small(version));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->version, version);
    EXPECT_EQ(file->Text("general.architecture").value(), "llama");
    EXPECT_EQ(file->Int("llama.block_count", 1, 100).value(), 3);
    EXPECT_EQ(file->Number("llama.eps", 0, 1).value(), static_cast<double>(1e-5f));
    EXPECT_EQ(file->Number("llama.block_count", 0, 9).value(), 3);
    EXPECT_TRUE(file->Bool("flag").value());
    const auto texts = file->Texts("tokens").value();
    EXPECT_EQ(std::vector<std::string>(texts.begin(), texts.end()), (std::vector<std::string>{"a", "", "\xC4\xA0"}));
    EXPECT_EQ(file->Ints("types").value()[1], -3);
    const HostTensor& a = file->tensors->at("a");
    EXPECT_EQ(a.shape, (Shape{3, 2}));
    EXPECT_EQ(a.ToF32(), (std::vector<float>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(file->tensors->at("b").ToF32(), (std::vector<float>{1, 2, -2, 0}));
  }
}

TEST(Gguf, NamesWhatAKeyLacks) {
  const auto file = Read(Small());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->Int("no", 0, 1).error().code, ErrorCode::kNotFound);
  EXPECT_NE(file->Int("general.architecture", 0, 1).error().message.find("general.architecture"), std::string::npos);
  EXPECT_NE(file->Int("llama.block_count", 4, 9).error().message.find("is 3"), std::string::npos);
  EXPECT_FALSE(file->Texts("types"));
  EXPECT_FALSE(file->Number("flag", 0, 1));
}

TEST(Gguf, RefusesWhatIsNotSound) {
  EXPECT_NE(ErrorOf(ReadGguf(SharedBytes::Own("GGML...."))).find("GGUF"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(GgufWriter(1))).find("version 1"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(GgufWriter(0x03000000))).find("little-endian"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().U32("flag", 1))).find("twice"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Raw("x", 77, ""))).find("unknown type 77"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("a", {1}, 0, "1234"))).find("twice"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("c", {64}, 0, "1234"))).find("outside"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("c", {1, 1, 1, 1, 1}, 0, "1234"))).find("5 dimensions"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("c", {~uint64_t{0}}, 0, ""))).find("too large"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("c", {1 << 30, 1 << 30}, 0, ""))).find("too large"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("c", {33}, 8, ""))).find("whole blocks of Q8_0"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("c", {256}, 10, ""))).find("Q2_K"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("c", {32}, 20, ""))).find("IQ4_NL"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("c", {32}, 99, ""))).find("number 99"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().U32("general.alignment", 33))).find("power of two"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().U32("general.alignment", 0))).find("general.alignment"), std::string::npos);
}

// Lists are refused by what they say of themselves, before memory is asked for.
TEST(Gguf, RefusesAVocabularyOfABillion) {
  const auto list = [](uint32_t type, uint64_t count) {
    return GgufWriter::Bytes(type) + GgufWriter::Bytes(count) + std::string(64, '\0');
  };
  EXPECT_NE(ErrorOf(Read(Small().Raw("t", 9, list(8, 1'000'000'000)))).find("1000000000"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Raw("t", 9, list(8, 1 << 22)))).find("longer than the file"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Raw("t", 9, list(0, ~uint64_t{0})))).find("the most"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Raw("t", 9, list(9, 1)))).find("list of lists"), std::string::npos);
}

TEST(Gguf, EveryPrefixIsRefused) {
  const std::string whole = Small().Build();
  for (size_t size = 0; size + 1 < whole.size() - 32; ++size) {
    EXPECT_FALSE(ReadGguf(SharedBytes::Own(whole.substr(0, size)))) << size;
  }
}

// Blocks as gguf-py dequantises them, through the file's own types.
TEST(Gguf, BlocksAreTheReferences) {
  const auto cases = ReadSafetensors(testing::DataPath("lm/gguf-blocks.safetensors"));
  ASSERT_TRUE(cases) << cases.error().message;
  const std::pair<const char*, uint32_t> types[] = {{"Q4_0", 2}, {"Q4_1", 3},  {"Q5_0", 6},  {"Q5_1", 7},
                                                    {"Q8_0", 8}, {"Q4_K", 12}, {"Q5_K", 13}, {"Q6_K", 14}};
  for (const auto& [name, type] : types) {
    std::string raw;
    for (const float byte : testing::Values(*cases, std::string(name) + ".raw")) {
      raw += static_cast<char>(static_cast<uint8_t>(byte));
    }
    const std::vector<float> values = testing::Values(*cases, std::string(name) + ".values");
    const auto file = Read(GgufWriter().Tensor("x", {values.size()}, type, raw));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->tensors->at("x").ToF32(), values) << name;
  }
}

TEST(Gguf, ReadsAFileOfAnotherProgram) {
  const auto file = ReadGguf(testing::DataPath("lm/gguf-tiny.gguf"));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->Text("general.architecture").value(), "llama");
  EXPECT_EQ(file->Texts("tokenizer.ggml.tokens").value().size(), 640u);
  EXPECT_TRUE(file->tensors->contains("blk.0.attn_q.weight"));
}

}  // namespace
}  // namespace timbre
