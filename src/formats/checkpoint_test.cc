#include "formats/checkpoint.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>

#include "base/mapped_file.h"

namespace timbre {
namespace {

std::string Data(const std::string& name) { return std::string(TIMBRE_SOURCE_DIR) + "/tests/data/formats/" + name; }

std::vector<float> Values(const TensorMap& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    ADD_FAILURE() << "no tensor " << name;
    return {};
  }
  return found->second.ToF32();
}

// The checksum of all names and float32 values in the order of the names.
uint32_t Checksum(const TensorMap& tensors) {
  uLong crc = 0;
  for (const auto& [name, tensor] : tensors) {
    crc = crc32_z(crc, reinterpret_cast<const Bytef*>(name.data()), name.size());
    const std::vector<float> values = tensor.ToF32();
    crc = crc32_z(crc, reinterpret_cast<const Bytef*>(values.data()), values.size() * sizeof(float));
  }
  return static_cast<uint32_t>(crc);
}

// What PyTorch 2.15 reads from the reference checkpoints: the number of tensors and their checksum.
struct Reference {
  const char* path;
  size_t tensors;
  uint32_t checksum;
};

TEST(Checkpoint, ReferenceFilesReadAsPyTorchReadsThem) {
  const std::string folder = std::string(TIMBRE_SOURCE_DIR) + "/../shared/goldens/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "SKIPPED: " << folder << " is missing";
  for (const Reference& reference : {
           Reference{"htdemucs/htdemucs-tiny-b9c4b409.th", 533, 0xe50f04bf},
           Reference{"htdemucs/htdemucs6s-tiny-155ea895.th", 457, 0xca492ad0},
           Reference{"mdx23c/mdx23c-tiny.ckpt", 203, 0xeff3ccfb},
           Reference{"gtcrn/gtcrn-dns3.tar", 677, 0xe5452f47},
           Reference{"gtcrn/gtcrn-vctk.tar", 677, 0xa93f6ecb},
           Reference{"deepfilternet/deepfilternet3.zip", 133, 0x7cceaf6a},
       }) {
    SCOPED_TRACE(reference.path);
    const auto checkpoint = ReadCheckpoint(folder + reference.path);
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    EXPECT_EQ(checkpoint->tensors->size(), reference.tensors);
    EXPECT_EQ(Checksum(*checkpoint->tensors), reference.checksum);
  }
  const auto gtcrn = ReadCheckpoint(folder + "gtcrn/gtcrn-vctk.tar");
  EXPECT_EQ(gtcrn->State()->count("erb.erb_fc.weight"), 1u);
  const auto filter = ReadCheckpoint(folder + "deepfilternet/deepfilternet3.zip");
  ASSERT_EQ(filter->files.count("config.ini"), 1u);
  EXPECT_NE(filter->files.at("config.ini").find("[deepfilternet]"), std::string::npos);
}

TEST(Checkpoint, DemucsPackageIsReadWithoutDemucs) {
  const std::string path = std::string(TIMBRE_SOURCE_DIR) + "/../shared/goldens/htdemucs/htdemucs6s-tiny-155ea895.th";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "SKIPPED: " << path << " is missing";
  const auto checkpoint = ReadCheckpoint(path);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const auto package = ToDemucsPackage(*checkpoint);
  ASSERT_TRUE(package) << package.error().message;
  EXPECT_EQ(package->klass, "demucs.htdemucs.HTDemucs");
  EXPECT_EQ(package->args.size(), 0u);
  EXPECT_EQ(package->kwargs.Find("sources")->Strings(),
            (std::vector<std::string>{"drums", "bass", "other", "vocals", "guitar", "piano"}));
  EXPECT_EQ(package->kwargs.Find("channels")->Int(), 8);
  EXPECT_EQ(package->kwargs.Find("segment")->Number(), 39.0 / 20.0);
  EXPECT_EQ(package->kwargs.Find("use_train_segment")->Bool(), true);
  EXPECT_FALSE(package->kwargs.Find("nothing"));
  EXPECT_EQ(package->state->size(), 457u);
  EXPECT_EQ(package->state->at("encoder.0.conv.weight").dtype, DType::kF16);
}

class EveryForm : public testing::TestWithParam<const char*> {};

TEST_P(EveryForm, TensorsAndValues) {
  const auto checkpoint = ReadCheckpoint(Data(GetParam()));
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const TensorMap state = *checkpoint->State();
  const std::vector<float> base = Values(state, "base");
  ASSERT_EQ(base.size(), 24u);
  for (int i = 0; i < 24; ++i) EXPECT_EQ(base[i], i);
  EXPECT_EQ(state.at("transposed").shape, (Shape{6, 4}));
  for (int i = 0; i < 24; ++i) EXPECT_EQ(Values(state, "transposed")[i], i % 4 * 6 + i / 4);
  EXPECT_EQ(Values(state, "strided"), (std::vector<float>{6, 8, 10, 12, 14, 16, 18, 20, 22}));
  EXPECT_EQ(Values(state, "tail"), (std::vector<float>{20, 21, 22, 23}));
  EXPECT_EQ(Values(state, "expanded"), (std::vector<float>{0, 1, 0, 1, 0, 1}));
  EXPECT_EQ(state.at("permuted").shape, (Shape{4, 2, 3}));
  for (int i = 0; i < 24; ++i) EXPECT_EQ(Values(state, "permuted")[i], i / 6 + i % 6 / 3 * 12 + i % 3 * 4);
  EXPECT_EQ(state.at("empty").shape, (Shape{0, 3}));
  EXPECT_EQ(state.at("scalar").shape, Shape());
  EXPECT_EQ(Values(state, "scalar"), (std::vector<float>{-2.5f}));
  EXPECT_EQ(Values(state, "parameter"), (std::vector<float>{1, 2}));
  // Views of one storage share its bytes.
  EXPECT_EQ(state.at("tail").data.get(), state.at("base").data.get() + 20 * sizeof(float));

  const TensorMap types = *checkpoint->Sub("types.");
  EXPECT_EQ(types.size(), 10u);
  for (const char* name : {"float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64"}) {
    EXPECT_EQ(NameOf(types.at(name).dtype), name);
    EXPECT_EQ(Values(types, name), (std::vector<float>{-3, 0, 1, 100})) << name;
  }
  EXPECT_EQ(Values(types, "uint8"), (std::vector<float>{0, 1, 200, 255}));
  EXPECT_EQ(Values(types, "bool"), (std::vector<float>{1, 0, 1}));

  const PickleValue kwargs = *checkpoint->root.Find("kwargs");
  EXPECT_EQ(kwargs.Find("segment")->Number(), 7.8);
  EXPECT_EQ(kwargs.Find("channels")->Int(), 48);
  EXPECT_EQ(kwargs.Find("channels")->Number(), 48.0);
  EXPECT_EQ(kwargs.Find("growth")->Number(), 2.0);
  EXPECT_FALSE(kwargs.Find("growth")->Int());
  EXPECT_EQ(kwargs.Find("flag")->Bool(), true);
  EXPECT_TRUE(kwargs.Find("none")->is_none());
  EXPECT_EQ(kwargs.Find("big")->kind(), PickleKind::kBigInt);
  EXPECT_EQ(kwargs.Find("negative")->Int(), -70000);
  EXPECT_EQ(kwargs.Find("large")->Int(), -(int64_t{1} << 40));
  EXPECT_EQ(kwargs.Find("sources")->Strings(), (std::vector<std::string>{"drums", "bass"}));
  EXPECT_EQ(kwargs.Find("tuple")->size(), 4u);
  EXPECT_EQ((*kwargs.Find("tuple"))[3].String(), "x");
  EXPECT_EQ((*kwargs.Find("set"))[0].Int(), 1);
  EXPECT_EQ(kwargs.Find("bytes")->kind(), PickleKind::kBytes);
  EXPECT_EQ(kwargs.Find("text")->String(), "h\u00e9llo \u266b");
  const PickleValue numpy = *checkpoint->root.Find("numpy");
  EXPECT_EQ(numpy.Find("f8")->Number(), 1.5);
  EXPECT_EQ(numpy.Find("f4")->Number(), -0.25);
  EXPECT_EQ(numpy.Find("i8")->Int(), -7);
  EXPECT_EQ(numpy.Find("b")->Bool(), true);
  EXPECT_EQ((*checkpoint->root.Find("size"))[1].Int(), 3);
  EXPECT_EQ(checkpoint->root.Find("device")->class_name(), "torch.device");
  EXPECT_EQ(checkpoint->root.Find("dtype")->class_name(), "torch.float32");
  EXPECT_EQ(checkpoint->root.Find("args")->state().Find("lr")->Number(), 0.5);
}

INSTANTIATE_TEST_SUITE_P(Checkpoint, EveryForm, testing::Values("zip.pt", "protocol4.pt", "protocol5.pt", "legacy.pt"));

}  // namespace
}  // namespace timbre
