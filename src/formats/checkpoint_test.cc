#include "formats/checkpoint.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/mapped_file.h"
#include "formats/safetensors.h"
#include "tests/e2e/program.h"
#include "tests/support/checksum.h"
#include "tests/support/places.h"
#include "tests/support/torch_writer.h"
#include "tests/support/zip_builder.h"

namespace timbre {
namespace {

using testing::Checksum;

std::string Data(const std::string& name) { return testing::SourceDir() + "/tests/data/formats/" + name; }

std::vector<float> Values(const TensorMap& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    ADD_FAILURE() << "no tensor " << name;
    return {};
  }
  return found->second.ToF32();
}

// What PyTorch 2.15 reads from the reference checkpoints: the number of tensors and their checksum.
struct Reference {
  const char* path;
  size_t tensors;
  uint32_t checksum;
};

TEST(Checkpoint, ReferenceFilesReadAsPyTorchReadsThem) {
  const std::string folder = testing::SourceDir() + "/../shared/goldens/";
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
  EXPECT_EQ(gtcrn->State().count("erb.erb_fc.weight"), 1u);
  const auto filter = ReadCheckpoint(folder + "deepfilternet/deepfilternet3.zip");
  ASSERT_EQ(filter->files.count("config.ini"), 1u);
  EXPECT_NE(filter->files.at("config.ini").find("[deepfilternet]"), std::string::npos);
}

TEST(Checkpoint, DemucsPackageIsReadWithoutDemucs) {
  const std::string path = testing::SourceDir() + "/../shared/goldens/htdemucs/htdemucs6s-tiny-155ea895.th";
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

class EveryForm : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryForm, TensorsAndValues) {
  const auto checkpoint = ReadCheckpoint(Data(GetParam()));
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const TensorMap state = checkpoint->State();
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

  const TensorMap types = checkpoint->Sub("types.");
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

INSTANTIATE_TEST_SUITE_P(Checkpoint, EveryForm,
                         ::testing::Values("zip.pt", "protocol4.pt", "protocol5.pt", "legacy.pt"));

std::string ErrorOf(const std::string& bytes) {
  const auto checkpoint = ReadCheckpoint(SharedBytes::Own(bytes));
  return checkpoint ? "no error" : checkpoint.error().message;
}

std::string Text(const std::string& text) {  // a pickled string
  return "\x8c" + std::string(1, static_cast<char>(text.size())) + text;
}

// A pickled tensor without its final instruction. Shape and strides as protocol 0 numbers ("I2\nI3\n").
std::string Tensor(int elements, const std::string& shape, const std::string& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + Text("storage") + "ctorch\nFloatStorage\n" + Text("0") +
         Text("cpu") + "I" + std::to_string(elements) + "\ntQI0\n(" + shape + "t(" + strides + "t\x89)tR";
}

bool Contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Checkpoint, AnArchiveThatWasPackedAgainReadsTheSame) {
  const std::string pickle = "}" + Text("w") + Tensor(3, "I3\n", "I1\n") + "s.";
  const std::string storage("\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40", 12);
  for (const bool deflate : {false, true}) {
    const auto checkpoint = ReadCheckpoint(SharedBytes::Own(testing::BuildTorchZip(pickle, {storage}, deflate)));
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    EXPECT_EQ(Values(*checkpoint->tensors, "w"), (std::vector<float>{1, 2, 3}));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(checkpoint->tensors->at("w").data.get()) % sizeof(float), 0u);
  }
}

TEST(Checkpoint, AStateDictIsFoundWhereverItIs) {
  const TensorMap weights = {{"encoder.w", HostTensor::FromF32({2}, std::vector<float>{1, 2})}};
  for (const std::vector<std::string>& path : std::vector<std::vector<std::string>>{
           {},
           {"state_dict"},
           {"model_state_dict"},
           {"model"},
           {"state"},
           {"ema"},
           {"state_dict", "model"},
           {"model", "state_dict", "module", "_orig_mod"},
       }) {
    const auto nested = ReadCheckpoint(SharedBytes::Own(testing::TorchFile(weights, path)));
    ASSERT_TRUE(nested) << nested.error().message;
    const TensorMap state = nested->State();
    EXPECT_EQ(state.size(), 1u);
    EXPECT_EQ(Values(state, "encoder.w"), (std::vector<float>{1, 2}));
    std::string prefix;
    for (const std::string& part : path) prefix += part + ".";
    EXPECT_EQ(nested->tensors->count(prefix + "encoder.w"), 1u);
  }
}

// Names are all that a .safetensors file has, and all that wrapping modules leave in a state dict.
TEST(Checkpoint, PrefixesOfNamesAreTakenOff) {
  const HostTensor one = HostTensor::FromF32({1}, std::vector<float>{1}),
                   two = HostTensor::FromF32({1}, std::vector<float>{2});
  const testing::TempFolder folder;
  const std::string path = folder / "w.safetensors";
  for (const std::string prefix :
       {"model.", "module.", "_orig_mod.", "ema.", "module._orig_mod.", "model._orig_mod.module."}) {
    ASSERT_TRUE(WriteSafetensors(path, {{prefix + "a.w", one}, {prefix + "b", two}}));
    const auto named = ReadCheckpoint(path);
    ASSERT_TRUE(named) << named.error().message;
    const TensorMap state = named->State();
    EXPECT_EQ(state.size(), 2u) << prefix;
    EXPECT_EQ(Values(state, "a.w"), std::vector<float>{1});
    EXPECT_EQ(Values(state, "b"), std::vector<float>{2});
  }
  // The weights themselves go before their average; what is no module around them stays.
  ASSERT_TRUE(WriteSafetensors(path, {{"ema.w", one}, {"model.w", two}, {"loss.window", one}}));
  EXPECT_EQ(Values(ReadCheckpoint(path)->State(), "w"), std::vector<float>{2});
  ASSERT_TRUE(WriteSafetensors(path, {{"models.w", one}, {"model", two}}));
  EXPECT_EQ(ReadCheckpoint(path)->State().size(), 2u);
}

TEST(Checkpoint, PackagesHoldOneCheckpoint) {
  const std::string inner =
      testing::BuildTorchZip("}" + Text("w") + Tensor(1, "I1\n", "I1\n") + "s.", {std::string(4, '\0')});
  const auto package = ReadCheckpoint(SharedBytes::Own(testing::BuildZip({{"x/config.ini", "[a]\nb = 1\n", true},
                                                                          {"x/a.ckpt", "other"},
                                                                          {"x/b.ckpt.best", inner, true},
                                                                          {"x/c.bin", "0"}})));
  ASSERT_TRUE(package) << package.error().message;
  EXPECT_EQ(package->tensors->count("w"), 1u);
  EXPECT_EQ(package->files.at("config.ini"), "[a]\nb = 1\n");
  EXPECT_EQ(package->files.size(), 1u);
  EXPECT_TRUE(Contains(ErrorOf(testing::BuildZip({{"a.ckpt", inner}, {"b.ckpt", inner}})), "several checkpoints"));
  EXPECT_TRUE(Contains(ErrorOf(testing::BuildZip({{"a.txt", "x"}})), "holds no checkpoint"));
  // An archive within an archive within an archive is not followed.
  EXPECT_TRUE(Contains(ErrorOf(testing::BuildZip({{"b.pt", testing::BuildZip({{"a.pt", inner}})}})), "no PyTorch"));
}

TEST(Checkpoint, FilesOfAnotherKindAreNamed) {
  EXPECT_TRUE(Contains(ErrorOf(""), "empty"));
  EXPECT_TRUE(Contains(ErrorOf("<!DOCTYPE html><html>…"), "text"));
  EXPECT_TRUE(Contains(ErrorOf("version https://git-lfs.github.com/spec/v1\noid sha256:0"), "Git LFS"));
  EXPECT_TRUE(Contains(ErrorOf("RIFF\x10\x01\x01WAVE"), "no checkpoint"));
  const auto module = ReadCheckpoint(Data("module.pt"));
  ASSERT_FALSE(module);
  EXPECT_TRUE(Contains(module.error().message, "'torch.nn.modules.linear.Linear'")) << module.error().message;
  EXPECT_TRUE(module.error().message.starts_with(Data("module.pt"))) << module.error().message;
  const auto script = ReadCheckpoint(Data("script.pt"));
  ASSERT_FALSE(script);
  EXPECT_TRUE(Contains(script.error().message, "TorchScript")) << script.error().message;
  const auto complex = ReadCheckpoint(Data("complex.pt"));
  ASSERT_FALSE(complex);
  EXPECT_TRUE(Contains(complex.error().message, "ComplexFloatStorage")) << complex.error().message;
  EXPECT_EQ(ReadCheckpoint(Data("missing.pt")).error().code, ErrorCode::kNotFound);
  const auto plain = ReadCheckpoint(Data("zip.pt"));
  EXPECT_FALSE(ToDemucsPackage(*plain));
}

TEST(Checkpoint, HostileArchivesAreRefused) {
  const std::string four(4, '\0');
  const std::string scalar = "}" + Text("w") + Tensor(1, "I1\n", "I1\n") + "s.";
  EXPECT_TRUE(Contains(ErrorOf(testing::BuildTorchZip(scalar)), "lacks the storage '0'"));
  EXPECT_TRUE(
      Contains(ErrorOf(testing::BuildTorchZip("}" + Text("w") + Tensor(2, "I1\n", "I1\n") + "s.", {four})), "shorter"));
  EXPECT_TRUE(Contains(ErrorOf(testing::BuildZip({{"a/data.pkl", scalar}, {"a/byteorder", "big"}, {"a/data/0", four}})),
                       "big-endian"));
  EXPECT_TRUE(Contains(ErrorOf(testing::BuildTorchZip("cos\nsystem\n(" + Text("true") + "tR.")), "'os.system'"));
  // One stored value, expanded to a tensor of 2^39 elements.
  EXPECT_TRUE(
      Contains(ErrorOf(testing::BuildTorchZip("}" + Text("w") + Tensor(1, "I549755813888\n", "I0\n") + "s.", {four})),
               "repeats few stored values"));
  EXPECT_TRUE(Contains(
      ErrorOf(testing::BuildTorchZip(
          "}(" + Text("w") + Tensor(1, "I1\n", "I1\n") + Text("w") + Tensor(1, "I1\n", "I1\n") + "u.", {four})),
      "'w' twice"));
  // A dict that contains itself, and one that doubles at each of 30 levels.
  EXPECT_TRUE(Contains(ErrorOf(testing::BuildTorchZip("}q\x01" + Text("x") + "h\x01s.")), "nested too deeply"));
  std::string doubling = "}" + Text("x") + "K\x01s";
  for (int i = 1; i <= 30; ++i) {
    const std::string index(1, static_cast<char>(i));
    doubling += "q" + index + "0}(" + Text("a") + "h" + index + Text("b") + "h" + index + "u";
  }
  EXPECT_TRUE(Contains(ErrorOf(testing::BuildTorchZip(doubling + ".")), "too many values"));
}

class Damaged : public ::testing::TestWithParam<const char*> {};

TEST_P(Damaged, EveryTruncationIsAnError) {
  const std::string whole = testing::ReadAll(Data(GetParam()));
  ASSERT_TRUE(ReadCheckpoint(SharedBytes::Own(whole)));
  for (size_t size = 0; size < whole.size(); size += 3) {
    EXPECT_FALSE(ReadCheckpoint(SharedBytes::Own(whole.substr(0, size)))) << size;
  }
}

TEST_P(Damaged, ChangedBytesNeverReachTheWeightsOfAnArchive) {
  const std::string whole = testing::ReadAll(Data(GetParam()));
  const uint32_t checksum = Checksum(*ReadCheckpoint(SharedBytes::Own(whole))->tensors);
  // The old form has no checksums, so that there it is enough to survive.
  const bool archive = whole.starts_with("PK");
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 1 << i % 8);
    const auto checkpoint = ReadCheckpoint(SharedBytes::Own(changed));
    if (checkpoint && archive) {
      EXPECT_EQ(Checksum(*checkpoint->tensors), checksum) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Checkpoint, Damaged, ::testing::Values("zip.pt", "legacy.pt"));

}  // namespace
}  // namespace timbre
