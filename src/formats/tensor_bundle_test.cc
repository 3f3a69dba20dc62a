#include "formats/tensor_bundle.h"

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "formats/protobuf.h"
#include "tests/support/bundle_writer.h"

namespace timbre {
namespace {

using testing::BundleWriter;

BundleWriter Small() {
  BundleWriter writer;
  writer.Tensor("conv2d/bias", 1, {3}, BundleWriter::Floats({1, 2, 3}))
      .Tensor("conv2d/kernel", 1, {1, 2}, BundleWriter::Floats({-1, 0.5}))
      .Tensor("global_step", 9, {}, std::string(8, '\1'))
      .Tensor("words", 7, {1}, "text");
  return writer;
}

Result<TensorMap> Read(const BundleWriter& writer) {
  return ReadTensorBundle(SharedBytes::Own(writer.Index()), SharedBytes::Own(writer.Data()));
}
std::string ErrorOf(const Result<TensorMap>& read) { return read ? "" : read.error().message; }

TEST(Crc32c, OfTheStandardsExample) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
}

TEST(TensorBundle, ReadsWhatWasWritten) {
  const auto tensors = Read(Small());
  ASSERT_TRUE(tensors) << tensors.error().message;
  EXPECT_EQ(tensors->size(), 3u) << "texts are left out";
  EXPECT_EQ(tensors->at("conv2d/bias").ToF32(), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(tensors->at("conv2d/kernel").shape, (Shape{1, 2}));
  EXPECT_EQ(tensors->at("global_step").dtype, DType::kI64);
}

TEST(TensorBundle, RefusesWhatIsNotSound) {
  const auto empty = SharedBytes::Own("");
  EXPECT_NE(ErrorOf(ReadTensorBundle(empty, empty)).find("no index"), std::string::npos);
  EXPECT_NE(ErrorOf(ReadTensorBundle(SharedBytes::Own(Small().Index().substr(1)), empty)).find("broken"),
            std::string::npos);
  EXPECT_NE(ErrorOf(ReadTensorBundle(SharedBytes::Own(Small().Index()), empty)).find("outside"), std::string::npos);
  std::string data = Small().Data();
  data[1] ^= 1;
  EXPECT_NE(ErrorOf(ReadTensorBundle(SharedBytes::Own(Small().Index()), SharedBytes::Own(data))).find("checksum"),
            std::string::npos);
  std::string index = Small().Index();
  index[3] ^= 1;
  EXPECT_NE(ErrorOf(ReadTensorBundle(SharedBytes::Own(index), SharedBytes::Own(Small().Data()))).find("checksum"),
            std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("x", 1, {4}, "1234"))).find("'x'"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("x", 1, {1, 1, 1, 1, 1, 1, 1}, "1234"))).find("'x'"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("x", 1, {1 << 30, 1 << 30}, "1234"))).find("'x'"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Tensor("words", 1, {1}, "1234").Tensor("words", 1, {1}, "1234"))).find("twice"),
            std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Shards(2))).find("2 files"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().BigEndian())).find("big-endian"), std::string::npos);
  EXPECT_NE(ErrorOf(Read(Small().Compressed())).find("compressed"), std::string::npos);
}

TEST(Protobuf, TakesFieldsAndStopsAtWhatIsNone) {
  const std::string message("\x08\x96\x01\x12\x02hi\x1d\x00\x00\x80\x3f", 12);
  ProtoReader reader(message);
  ProtoField field;
  ASSERT_TRUE(reader.Next(&field));
  EXPECT_EQ(field.number, 1u);
  EXPECT_EQ(field.value, 150u);
  ASSERT_TRUE(reader.Next(&field));
  EXPECT_TRUE(field.is_bytes);
  EXPECT_EQ(field.bytes, "hi");
  ASSERT_TRUE(reader.Next(&field));
  EXPECT_EQ(field.Float(), 1.0f);
  EXPECT_FALSE(reader.Next(&field));
  EXPECT_FALSE(reader.broken());
  for (const std::string& bad : {std::string("\x08"), std::string("\x12\x05hi"), std::string("\x0b\x0c"),
                                 std::string("\x00\x01", 2), std::string(11, '\xff'), std::string("\x0d\x01")}) {
    ProtoReader broken(bad);
    EXPECT_FALSE(broken.Next(&field));
    EXPECT_TRUE(broken.broken());
  }
}

}  // namespace
}  // namespace timbre
