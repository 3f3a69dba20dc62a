#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include "formats/checkpoint.h"
#include "tests/e2e/program.h"

namespace timbre {
namespace {

using testing::TempFolder;

std::string File(const std::string& header, const std::string& data) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> (8 * i));
  return bytes + header + data;
}

Result<Safetensors> Read(const std::string& header, const std::string& data) {
  return ReadSafetensors(SharedBytes::Own(File(header, data)));
}

TEST(Safetensors, ReadsTensorsAndMetadata) {
  const auto file = Read(R"({"__metadata__":{"model":"x"},"b":{"dtype":"F32","shape":[2],"data_offsets":[2,10]},)"
                         R"("a":{"data_offsets":[0,2],"shape":[],"dtype":"F16"}})",
                         std::string("\x00\x3c\x00\x00\x80\x3f\x00\x00\x00\xc0", 10));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->metadata.at("model"), "x");
  ASSERT_EQ(file->tensors->size(), 2u);
  EXPECT_EQ(file->tensors->at("a").ToF32(), (std::vector<float>{1}));
  EXPECT_EQ(file->tensors->at("b").ToF32(), (std::vector<float>{1, -2}));
  // Not aligned in the file, so copied: kernels may read float32 in place.
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file->tensors->at("b").data.get()) % sizeof(float), 0u);
}

TEST(Safetensors, WhatIsWrittenIsRead) {
  const TempFolder folder;
  TensorMap tensors;
  tensors["one"] = HostTensor::FromF32(Shape{2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  tensors["empty"] = HostTensor::FromF32(Shape{0, 3}, {});
  HostTensor bytes;
  bytes.dtype = DType::kU8;
  bytes.shape = Shape{3};
  bytes.data = SharedBytes::Own(std::string("\x01\x02\xff")).shared();
  tensors["\"bytes\""] = bytes;
  const std::string path = (folder / "out.safetensors").string();
  ASSERT_TRUE(WriteSafetensors(path, tensors, {{"note", "caf\u00e9"}}));
  EXPECT_EQ(testing::FilesIn(folder.path()).size(), 1u);
  const auto checkpoint = ReadCheckpoint(path);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->metadata.at("note"), "caf\u00e9");
  EXPECT_EQ(checkpoint->tensors->size(), 3u);
  EXPECT_EQ(checkpoint->tensors->at("one").shape, (Shape{2, 3}));
  EXPECT_EQ(checkpoint->tensors->at("one").ToF32(), tensors["one"].ToF32());
  EXPECT_EQ(checkpoint->tensors->at("empty").shape, (Shape{0, 3}));
  EXPECT_EQ(checkpoint->tensors->at("\"bytes\"").ToF32(), (std::vector<float>{1, 2, 255}));
  EXPECT_FALSE(WriteSafetensors((folder / "no/such/folder").string(), tensors));
}

TEST(Safetensors, WrongHeadersAreRefused) {
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::string data(8, '\0');
  ASSERT_TRUE(Read(good, data));
  const char* headers[] = {
      "",
      "{",
      "[]",
      "null",
      "{}",
      R"({"a":1})",
      R"({"a":{}})",
      R"({"a":[]})",
      R"({"__metadata__":{"x":1}})",
      R"({"__metadata__":{"x":"1","x":"2"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
      R"({"a":{"shape":[2],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[2]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"shape":[2]}})",
      R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,16]}})",
      R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
      R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[18446744073709551615,18446744073709551615],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
      R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,2],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}})",
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":{"y":1}}})",
  };
  for (const char* header : headers) EXPECT_FALSE(Read(header, data)) << header;
  EXPECT_FALSE(Read(std::string(1000000, '['), data));
  EXPECT_FALSE(Read(R"({"a":)" + std::string(1000000, '['), data));
  EXPECT_FALSE(ReadSafetensors(SharedBytes::Own(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10))));
}

TEST(Safetensors, EveryTruncationAndChangedByteIsAnErrorOrHarmless) {
  const std::string good = File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", std::string(8, '\x01'));
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(ReadSafetensors(SharedBytes::Own(good.substr(0, size)))) << size;
  }
  for (size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = good;
      changed[i] = static_cast<char>(changed[i] ^ 1 << bit);
      const auto file = ReadSafetensors(SharedBytes::Own(changed));
      if (file) {
        EXPECT_EQ(file->tensors->size(), 1u);
      }
    }
  }
}

}  // namespace
}  // namespace timbre
