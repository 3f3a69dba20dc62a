// timbre frames, as a user runs it: a folder laid out as the official one, with weights by formula.
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "audio/test_files.h"
#include "pipelines/frames/frame_reader.h"
#include "pipelines/frames/frame_writer.h"
#include "pipelines/frames/latents.h"
#include "tests/e2e/program.h"
#include "tests/parity/frames_support.h"
#include "tests/support/json_schema.h"
#include "tests/support/probe.h"
#include "tests/support/torch_writer.h"

namespace timbre {
namespace {

using nlohmann::json;
using testing::Ran;
using testing::RatioDb;
using testing::RunTimbre;
using testing::SharedPath;
using testing::TempFolder;
using testing::VaeCase;
using testing::Values;
using testing::VolumeOf;
using testing::WriteAll;
using Words = std::vector<std::string>;

constexpr double kFloorDb = 100;

Safetensors Case(const std::string& name) {
  const auto file = ReadSafetensors(VaeCase(name));
  EXPECT_TRUE(file) << file.error().message;
  return *file;
}

HunyuanVaeConfig ConfigOf(const Safetensors& file) {
  const auto config = ParseHunyuanVaeConfig(file.metadata.at("config"));
  EXPECT_TRUE(config);
  return *config;
}

void WriteTensor(const std::filesystem::path& path, const std::string& name, const Shape& shape,
                 const std::vector<float>& values) {
  TensorMap tensors;
  tensors.emplace(name, HostTensor::FromF32(shape, values));
  ASSERT_TRUE(WriteSafetensors(path.string(), tensors));
}

// Frames of a file of values, in the reference's order.
std::vector<float> FramesIn(const std::filesystem::path& path) {
  const auto file = ReadSafetensors(path.string());
  EXPECT_TRUE(file) << file.error().message;
  return file ? Values(*file, "frames") : std::vector<float>();
}

Ran Frames(const TempFolder& folder, Words words) {
  words.insert(words.begin(), "frames");
  words.insert(words.end(), {"--device", "cpu"});
  return RunTimbre(words, folder.path());
}

// In tiles, as values and as pictures; the report is as its schema says, and a preview needs no model.
TEST(FramesProgram, GivesTheReferencesFrames) {
  const TempFolder folder;
  const Safetensors file = Case("vae-tiny-tiled-default.safetensors");
  testing::MakeVaeFolder(folder / "model", ConfigOf(file));
  WriteTensor(folder / "latents.safetensors", "latents", file.tensors->at("latents").shape, Values(file, "latents"));
  const Ran ran = Frames(
      folder, {"decode", "latents.safetensors", "-m", "model", "-o", "out.safetensors", "--json", "report.json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_GE(RatioDb(Values(file, "out"), FramesIn(folder / "out.safetensors")), kFloorDb);
  const json report = json::parse(testing::ReadAll(folder / "report.json"));
  EXPECT_EQ(report["frames"]["tiles"], 2);
  EXPECT_EQ(report["frames"]["frames"], 1);
  EXPECT_EQ(report["frames"]["height"], 272);
  EXPECT_EQ(report["steps_down"], json::array());
  const json schemas = json::parse(RunTimbre({"run", "--schema", "frames"}).out);
  EXPECT_EQ(testing::SchemaErrors(schemas["report"], report), std::vector<std::string>());

  ASSERT_EQ(Frames(folder, {"decode", "latents.safetensors", "-m", "model", "-o", "frame_%03d.png"}).code, 0);
  const auto picture = FrameReader::Open((folder / "frame_000.png").string());
  ASSERT_TRUE(picture) << picture.error().message;
  const auto shown = (*picture)->Frames(0, 1);
  ASSERT_TRUE(shown) << shown.error().message;
  const Volume wanted = VolumeOf(file, "out");
  ASSERT_EQ(shown->values.size(), wanted.values.size());
  int64_t off = 0;
  for (size_t i = 0; i < wanted.values.size(); ++i) {
    const double level = std::floor(std::clamp(wanted.values[i], -1.0f, 1.0f) * 127.5f + 127.5f);
    const double ours = std::round((shown->values[i] + 1) * 127.5);
    EXPECT_LE(std::abs(level - ours), 1) << i;
    off += level != ours ? 1 : 0;
  }
  EXPECT_LE(off, static_cast<int64_t>(wanted.values.size() / 1000));

  ASSERT_EQ(
      Frames(folder, {"decode", "latents.safetensors", "-m", "nowhere/at/all", "--preview", "-o", "p_%d.png"}).code, 0);
  EXPECT_TRUE(std::filesystem::exists(folder / "p_0.png"));
}

// The 8-bit frames that the reference states, and the video: as many pictures, tagged, the index in front.
TEST(FramesProgram, WritesLevelsAndVideosAsTheReferenceDoes) {
  const std::string path = SharedPath("goldens/vae/vae-tiny.decode.safetensors");
  TIMBRE_NEED_SHARED(path);
  const TempFolder folder;
  const Safetensors file = Case("vae-tiny.decode.safetensors");
  testing::MakeVaeFolder(folder / "model" / "vae", ConfigOf(file));
  ASSERT_EQ(Frames(folder, {"decode", path, "-m", "model", "-o", "f_%02d.png"}).code, 0);
  ASSERT_EQ(Frames(folder, {"decode", path, "-m", "model", "-o", "clip.mp4", "--crf", "0", "--fps", "24"}).code, 0);
  const std::vector<float> levels = Values(file, "frames");  // [9, 64, 64, 3]
  const auto clip = FrameReader::Open((folder / "clip.mp4").string());
  ASSERT_TRUE(clip) << clip.error().message;
  EXPECT_EQ((*clip)->info().frames, 9);
  EXPECT_EQ((*clip)->info().fps, 24);
  const std::string bytes = testing::ReadAll(folder / "clip.mp4");
  EXPECT_LT(bytes.find("moov"), bytes.find("mdat"));
  const auto video = (*clip)->Frames(0, 9);
  ASSERT_TRUE(video) << video.error().message;
  size_t off = 0;
  std::vector<float> expected, shown;
  for (int t = 0; t < 9; ++t) {
    const auto picture = FrameReader::Open((folder / ("f_0" + std::to_string(t) + ".png")).string());
    ASSERT_TRUE(picture) << picture.error().message;
    const auto frame = (*picture)->Frames(0, 1);
    ASSERT_TRUE(frame);
    for (size_t i = 0; i < frame->values.size(); ++i) {
      const double ours = std::round((frame->values[i] + 1) * 127.5), level = levels[t * frame->values.size() + i];
      ASSERT_LE(std::abs(ours - level), 1) << t << " " << i;
      off += ours != level ? 1 : 0;
    }
  }
  EXPECT_LE(off, levels.size() / 1000);
  // Brightness alone: colour has a quarter of its pixels, and these latents are noise.
  const auto brightness = [](const float* rgb) { return 0.2126f * rgb[0] + 0.7152f * rgb[1] + 0.0722f * rgb[2]; };
  for (size_t i = 0; i < levels.size(); i += 3) {
    expected.push_back(brightness(&levels[i]) / 127.5f - 1);
    shown.push_back(brightness(&video->values[i]));
  }
  // H.264 loses nothing at --crf 0. What is missing is limited range, and colours that are none of the cube's after
  // their neighbours' were mixed in.
  EXPECT_GE(RatioDb(expected, shown), 35);
}

// A camera that was held upright stores its pictures lying, and how players are to turn them.
TEST(FramesProgram, AVideoIsReadAsPlayersTurnIt) {
  const testing::TempFolder folder;
  const std::string path = (folder / "clip.mp4").string();
  Volume frames(5, 16, 24, 3);
  for (size_t i = 0; i < frames.values.size(); ++i) frames.values[i] = static_cast<float>(i / 3 % 24) / 12 - 1;
  for (int64_t t = 0; t < 5; ++t) std::fill_n(frames.at(t, 0, 0), 8 * frames.row(), -1.0f);
  OutputSet outputs;
  auto writer = FrameWriter::Create(path, {5, 16, 24}, {.crf = 0}, outputs);
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE((*writer)->Write(frames));
  ASSERT_TRUE((*writer)->Finish());
  ASSERT_TRUE(outputs.Commit());
  const Volume stored = *(*FrameReader::Open(path))->Frames(0, 5);
  std::string bytes = testing::ReadAll(path);
  const size_t matrix = bytes.find("tkhd") + 44;
  const std::string one("\0\1\0\0", 4), less_one("\xFF\xFF\0\0", 4), none(4, '\0');
  ASSERT_EQ(bytes.substr(matrix, 4), one);
  const auto turned = [&](const std::string& a, const std::string& b, const std::string& c, const std::string& d) {
    bytes.replace(matrix, 4, a).replace(matrix + 4, 4, b).replace(matrix + 12, 4, c).replace(matrix + 16, 4, d);
    testing::WriteAll(path, bytes);
    return *(*FrameReader::Open(path))->Frames(0, 5);
  };
  const Volume right = turned(none, one, less_one, none), half = turned(less_one, none, none, less_one);
  const Volume left = turned(none, less_one, one, none), mirrored = turned(less_one, none, none, one);
  ASSERT_EQ(right.height, 24);
  ASSERT_EQ(left.width, 16);
  ASSERT_EQ(half.height, 16);
  int64_t wrong = 0;
  for (int64_t y = 0; y < 16; ++y) {
    for (int64_t x = 0; x < 24; ++x) {
      const float pixel = stored.at(4, y, x)[1];
      wrong += right.at(4, x, 15 - y)[1] != pixel || half.at(4, 15 - y, 23 - x)[1] != pixel ||
               left.at(4, 23 - x, y)[1] != pixel || mirrored.at(4, y, x)[1] != pixel;
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_NE(stored.at(4, 15, 23)[1], stored.at(4, 15, 0)[1]);
  EXPECT_NE(stored.at(4, 15, 23)[1], stored.at(4, 0, 23)[1]);
}

// A photograph says in its EXIF data how it was held: what is encoded is what everybody sees.
TEST(FramesProgram, APhotographIsReadAsItIsShown) {
  if (!HaveFfmpeg()) GTEST_SKIP() << "SKIPPED: no ffmpeg program";
  const TempFolder folder;
  const std::string path = (folder / "photo.jpg").string();
  ASSERT_EQ(std::system(("ffmpeg -v error -f lavfi -i testsrc=s=24x16:d=1 -frames:v 1 '" + path + "'").c_str()), 0);
  const std::string plain = testing::ReadAll(path);
  const Volume stored = *(*FrameReader::Open(path))->Frames(0, 1);
  const auto held = [&](char orientation) {
    // One entry of a little-endian TIFF directory: 0x112, a short.
    std::string exif("Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0?\0\0\0\0\0\0\0", 32);
    exif[24] = orientation;
    WriteAll(path,
             plain.substr(0, 2) + "\xFF\xE1" + '\0' + static_cast<char>(exif.size() + 2) + exif + plain.substr(2));
    return *(*FrameReader::Open(path))->Frames(0, 1);
  };
  const Volume upright = held(1), half = held(3), right = held(6), left = held(8);
  ASSERT_EQ(right.height, 24);
  ASSERT_EQ(left.width, 16);
  int64_t wrong = 0;
  for (int64_t y = 0; y < 16; ++y) {
    for (int64_t x = 0; x < 24; ++x) {
      const float pixel = stored.at(0, y, x)[0];
      wrong += upright.at(0, y, x)[0] != pixel || right.at(0, x, 15 - y)[0] != pixel ||
               half.at(0, 15 - y, 23 - x)[0] != pixel || left.at(0, 23 - x, y)[0] != pixel;
    }
  }
  EXPECT_EQ(wrong, 0);
}

// Whoever plays the clip knows its colours by the tags. Pictures of one colour each lose nothing to colour's fewer
// pixels: what is left are the steps of limited range.
TEST(FramesProgram, AVideosColoursAreItsFrames) {
  if (!HaveFfmpeg()) GTEST_SKIP() << "SKIPPED: no ffmpeg program";
  const TempFolder folder;
  std::vector<float> latents(16 * 3 * 2 * 4);
  for (size_t i = 0; i < latents.size(); ++i) latents[i] = FormulaValue(5, i / 8, -2, 4);
  WriteTensor(folder / "latents.safetensors", "latents", {16, 3, 2, 4}, latents);
  const Words preview{"decode", "latents.safetensors", "--preview", "-o"};
  for (const Words& out : {Words{"clip.mp4", "--crf", "0"}, Words{"values.safetensors"}}) {
    Words words = preview;
    words.insert(words.end(), out.begin(), out.end());
    const Ran ran = Frames(folder, words);
    ASSERT_EQ(ran.code, 0) << ran.err;
  }
  const std::string tags = testing::Probed((folder / "clip.mp4").string(), "-select_streams v -show_streams");
  for (const char* fact :
       {"codec_name=h264", "pix_fmt=yuv420p", "color_range=tv", "color_space=bt709", "color_transfer=bt709",
        "color_primaries=bt709", "width=32", "height=16", "r_frame_rate=30/1", "nb_read_packets=9"}) {
    testing::ExpectIn(tags, fact);
  }
  const auto clip = FrameReader::Open((folder / "clip.mp4").string());
  const auto stored = FrameReader::Open((folder / "values.safetensors").string());
  ASSERT_TRUE(clip && stored);
  const auto shown = (*clip)->Frames(0, 9), wanted = (*stored)->Frames(0, 9);
  ASSERT_TRUE(shown && wanted);
  ASSERT_EQ(shown->values.size(), wanted->values.size());
  float off = 0;
  for (size_t i = 0; i < wanted->values.size(); ++i) {
    off = std::max(off, std::abs(shown->values[i] - wanted->values[i]) * 127.5f);
  }
  EXPECT_LE(off, 2);
}

// Its frames have to be counted before any is encoded, but nobody decodes a short clip twice.
TEST(FramesProgram, DecodesAShortClipOnce) {
  const TempFolder folder;
  std::vector<float> latents(16 * 9 * 32 * 32);
  for (size_t i = 0; i < latents.size(); ++i) latents[i] = FormulaValue(7, i, -2, 4);
  WriteTensor(folder / "latents.safetensors", "latents", {16, 9, 32, 32}, latents);
  const Ran ran = Frames(folder, {"decode", "latents.safetensors", "--preview", "--crf", "0", "-o", "clip.mp4"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_GT(std::filesystem::file_size(folder / "clip.mp4"), 100'000u) << "more than is read ahead";
  const auto clip = FrameReader::Open((folder / "clip.mp4").string());
  ASSERT_TRUE(clip) << clip.error().message;
  std::filesystem::resize_file(folder / "clip.mp4", 0);
  const auto frames = (*clip)->Frames(0, 33);
  EXPECT_TRUE(frames) << frames.error().message;
}

// FramePack's sections, cut from one file and from files that overlap.
TEST(FramesProgram, JoinsSectionsAsFramePackDoes) {
  const std::string path = SharedPath("goldens/vae/vae-tiny.framepack.safetensors");
  TIMBRE_NEED_SHARED(path);
  const TempFolder folder;
  const Safetensors file = Case("vae-tiny.framepack.safetensors");
  testing::MakeVaeFolder(folder / "model", ConfigOf(file));
  Ran ran = Frames(folder, {"decode", path, "-m", "model", "--window", "9", "-o", "out.safetensors"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_GE(RatioDb(Values(file, "out"), FramesIn(folder / "out.safetensors")), kFloorDb);

  const Volume all = VolumeOf(file, "latents");
  OutputSet outputs;
  const std::pair<int, int> sections[] = {{0, 19}, {10, 28}, {19, 28}};
  Words words{"decode"};
  for (const auto& [begin, end] : sections) {
    words.push_back("s" + std::to_string(begin) + ".safetensors");
    ASSERT_TRUE(WriteLatents((folder / words.back()).string(), all.Frames(begin, end), outputs));
  }
  ASSERT_TRUE(outputs.Commit());
  words.insert(words.end(), {"-m", "model", "--append", "33", "-o", "joined.safetensors"});
  ran = Frames(folder, words);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(testing::ReadAll(folder / "joined.safetensors"), testing::ReadAll(folder / "out.safetensors"));
}

// A folder as it is published, in half precision.
TEST(FramesProgram, ReadsTheOfficialFolder) {
  const std::string path = SharedPath("goldens/vae/vae-tiny-hf.decode.safetensors");
  TIMBRE_NEED_SHARED(path);
  const TempFolder folder;
  const Ran ran =
      Frames(folder, {"decode", path, "-m", SharedPath("goldens/vae/vae-tiny-hf"), "-o", "out.safetensors"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_GE(RatioDb(Values(Case("vae-tiny-hf.decode.safetensors"), "out"), FramesIn(folder / "out.safetensors")),
            kFloorDb);
}

// Tencent's own: a PyTorch file, the names behind "vae.", and a configuration with other keys.
TEST(FramesProgram, ReadsTencentsFolder) {
  const TempFolder folder;
  testing::MakeVaeFolder(folder / "model", ConfigOf(Case("vae-tiny-encode.safetensors")));
  TensorMap state;
  const auto all = ReadFormulaWeights(VaeCase("vae-tiny.weights.json"));
  ASSERT_TRUE(all) << all.error().message;
  for (const auto& [name, tensor] : **all) {
    state.emplace("vae." + name, HostTensor::FromF32(tensor.shape, tensor.ToF32()));
  }
  std::filesystem::create_directories(folder / "tencent");
  WriteAll(folder / "tencent" / "pytorch_model.pt", testing::TorchFile(state, {"state_dict"}));
  WriteAll(folder / "tencent" / "config.json",
           R"({"_class_name": "AutoencoderKLCausal3D", "block_out_channels": [16, 24, 32, 32], "layers_per_block": 1,
               "norm_num_groups": 8, "sample_size": 256, "sample_tsize": 64, "time_compression_ratio": 4})");
  WriteTensor(folder / "latents.safetensors", "any", {16, 2, 2, 1}, std::vector<float>(64, 0.5f));
  for (const std::string model : {"model", "tencent"}) {
    const Ran ran = Frames(folder, {"decode", "latents.safetensors", "-m", model, "-o", model + ".safetensors"});
    ASSERT_EQ(ran.code, 0) << ran.err;
  }
  EXPECT_EQ(testing::ReadAll(folder / "model.safetensors"), testing::ReadAll(folder / "tencent.safetensors"));
}

TEST(FramesProgram, EncodesPicturesAndVideos) {
  const TempFolder folder;
  const Safetensors file = Case("vae-tiny-encode.safetensors");
  const HunyuanVaeConfig config = ConfigOf(file);
  testing::MakeVaeFolder(folder / "model", config);
  for (const std::string name : {"image", "video"}) {
    WriteTensor(folder / "frames.safetensors", "frames", file.tensors->at(name).shape, Values(file, name));
    const Ran ran = Frames(folder, {"encode", "frames.safetensors", "-m", "model", "-o", "l.safetensors"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    const auto latents = ReadLatents((folder / "l.safetensors").string(), config.latent_channels);
    ASSERT_TRUE(latents) << latents.error().message;
    const Volume moments = VolumeOf(file, name + ".moments");
    EXPECT_GE(RatioDb(LatentsOf(moments, {}, config.scaling_factor).values, latents->values), kFloorDb);
    // What is drawn around the means, with the case's noise; the program's own comes of a seed.
    const Volume drawn = LatentsOf(moments, Values(file, name + ".noise"), config.scaling_factor);
    EXPECT_GE(RatioDb(VolumeOf(file, name + ".latents").values, drawn.values), kFloorDb);
    for (const char* out : {"a.safetensors", "b.safetensors"}) {
      ASSERT_EQ(
          Frames(folder, {"encode", "frames.safetensors", "-m", "model", "--sample", "--seed", "3", "-o", out}).code,
          0);
    }
    EXPECT_EQ(testing::ReadAll(folder / "a.safetensors"), testing::ReadAll(folder / "b.safetensors"));
    EXPECT_NE(testing::ReadAll(folder / "a.safetensors"), testing::ReadAll(folder / "l.safetensors"));
  }
  // A picture of the eight bits that it is made of.
  WriteTensor(folder / "latents.safetensors", "latents", {16, 1, 4, 4}, std::vector<float>(256, 0.25f));
  ASSERT_EQ(Frames(folder, {"decode", "latents.safetensors", "-m", "model", "-o", "p_%d.png"}).code, 0);
  const Words of_picture{"encode", "p_0.png", "-m", "model", "-o", "of-picture.safetensors"};
  Words dry = of_picture;
  dry.push_back("--dry-run");
  EXPECT_TRUE(Frames(folder, dry).out.starts_with("1 latent from 1 frame of 32x32, tiled\n"));
  const Ran ran = Frames(folder, of_picture);
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto latents = ReadLatents((folder / "of-picture.safetensors").string(), config.latent_channels);
  ASSERT_TRUE(latents) << latents.error().message;
  EXPECT_EQ(latents->height, 4);
}

// What there will be is said, and nothing made; the tiles are those that are computed.
TEST(FramesProgram, SaysWhatItWouldDo) {
  const TempFolder folder;
  testing::MakeVaeFolder(folder / "model", ConfigOf(Case("vae-tiny-encode.safetensors")));
  std::vector<float> latents(16 * 6 * 7 * 9);
  for (size_t i = 0; i < latents.size(); ++i) latents[i] = FormulaValue(3, i, -2, 4);
  WriteTensor(folder / "l.safetensors", "latents", {16, 6, 7, 9}, latents);
  const Words words{"decode", "l.safetensors", "-m",          "model",    "--tile", "32", "--tile-stride",
                    "24",     "--json",        "report.json", "--memory", "1GiB",   "-o", "o.safetensors"};
  Words dry = words;
  dry.push_back("--dry-run");
  const Ran ran = Frames(folder, dry);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("21 frames of 72x56 from 6 latents, tiled"), std::string::npos) << ran.out;
  EXPECT_FALSE(std::filesystem::exists(folder / "o.safetensors"));
  const json report = json::parse(testing::ReadAll(folder / "report.json"));
  const json schemas = json::parse(RunTimbre({"run", "--schema", "frames"}).out);
  EXPECT_EQ(testing::SchemaErrors(schemas["report"], report), std::vector<std::string>());
  EXPECT_GT(report["plan"]["estimated_seconds"], 0);
  int64_t tiles = 0;
  for (const json& tile : report["plan"]["tiles"]) tiles += tile["count"].get<int64_t>();
  EXPECT_EQ(tiles, 18);
  ASSERT_EQ(Frames(folder, words).code, 0);
  const auto frames_of_report = [&] { return json::parse(testing::ReadAll(folder / "report.json"))["frames"]; };
  EXPECT_EQ(frames_of_report()["tiles"], 18);
  EXPECT_EQ(frames_of_report()["in_bands"], 0);
  const auto wanted = FrameReader::Open((folder / "o.safetensors").string());

  // With a little less than the largest tiles take, those go in bands.
  Words less = words;
  *(std::find(less.begin(), less.end(), "--memory") + 1) =
      std::to_string(static_cast<int64_t>(report["plan"]["memory_mb"].get<double>() * 1e6) - 1);
  less.back() = "in-bands.safetensors";
  const Ran in_bands = Frames(folder, less);
  ASSERT_EQ(in_bands.code, 0) << in_bands.err;
  EXPECT_NE(in_bands.out.find("tiles in bands of frames"), std::string::npos) << in_bands.out;
  EXPECT_GT(frames_of_report()["in_bands"], 0);
  EXPECT_LT(frames_of_report()["in_bands"], 18);
  const auto banded = FrameReader::Open((folder / "in-bands.safetensors").string());
  ASSERT_TRUE(wanted && banded);
  EXPECT_GE(RatioDb((*wanted)->Frames(0, 21)->values, (*banded)->Frames(0, 21)->values), kFloorDb);
}

// One sentence each, and no file.
TEST(FramesProgram, RefusesWhatMakesNoSense) {
  const TempFolder folder;
  const HunyuanVaeConfig config = ConfigOf(Case("vae-tiny-encode.safetensors"));
  testing::MakeVaeFolder(folder / "model", config);
  std::vector<float> holed(256, 0.25f);
  holed[200] = std::numeric_limits<float>::quiet_NaN();
  WriteTensor(folder / "nan.safetensors", "latents", {16, 1, 4, 4}, holed);
  WriteTensor(folder / "channels.safetensors", "latents", {4, 1, 8, 8}, std::vector<float>(256));
  WriteTensor(folder / "flat.safetensors", "latents", {16, 16}, std::vector<float>(256));
  WriteTensor(folder / "good.safetensors", "latents", {1, 16, 1, 4, 4}, std::vector<float>(256));
  WriteTensor(folder / "other.safetensors", "latents", {16, 1, 2, 8}, std::vector<float>(256));
  WriteTensor(folder / "odd.safetensors", "frames", {3, 1, 12, 16}, std::vector<float>(576));
  TensorMap many;
  many.emplace("latents", HostTensor::FromBytes({16, 70000, 1, 1}, DType::kU8, std::vector<std::byte>(1120000)));
  ASSERT_TRUE(WriteSafetensors((folder / "long.safetensors").string(), many));
  // A header that promises a thousand million latents.
  const std::string header =
      R"({"latents":{"dtype":"F32","shape":[16,1000000000,8,8],"data_offsets":[0,4096000000000]}})";
  std::string promised(8, '\0');
  promised[0] = static_cast<char>(header.size());
  WriteAll(folder / "promised.safetensors", promised + header);
  WriteAll(folder / "text.png", "#EXTM3U\nfile:///etc/passwd\n");
  std::filesystem::create_directories(folder / "empty");
  testing::MakeVaeFolder(folder / "fifteen", config);
  WriteAll(folder / "fifteen" / "config.json", R"({"_class_name": "AutoencoderKLHunyuanVideo15"})");
  const size_t before = testing::FilesIn(folder.path()).size();

  struct {
    Words words;
    const char* says;
  } const cases[] = {
      {{"decode", "nan.safetensors", "-m", "model"}, "not a number in channel 12 of latent 0"},
      {{"decode", "channels.safetensors", "-m", "model"}, "wants [16, frames, height, width]"},
      {{"decode", "flat.safetensors", "-m", "model"}, "has shape [16, 16]"},
      {{"decode", "long.safetensors", "-m", "model"}, "larger than any clip"},
      {{"decode", "promised.safetensors", "-m", "model"}, "promised.safetensors"},
      {{"decode", "gone.safetensors", "-m", "model"}, "gone.safetensors"},
      {{"decode", "good.safetensors", "other.safetensors", "-m", "model"}, "another size"},
      {{"decode", "good.safetensors", "good.safetensors", "-m", "model", "--append", "9"}, "give a smaller --append"},
      {{"decode", "good.safetensors", "-m", "model", "--window", "9"}, "sections of 9 latents"},
      {{"decode", "good.safetensors", "-m", "model", "-o", "good.safetensors"}, "written over an input"},
      {{"decode", "good.safetensors", "-m", "model", "-o", "frame.png"}, "frame_%05d.png"},
      {{"decode", "good.safetensors", "-m", "model", "-o", "clip.avi"}, "ends neither in .mp4"},
      {{"decode", "good.safetensors", "-m", "model", "--tile-stride", "100"}, "multiples of 8"},
      {{"decode", "good.safetensors", "-m", "model", "--tile-stride", "512"}, "from 8 to the tile's size"},
      {{"decode", "good.safetensors", "-m", "model", "--memory", "many"}, "takes a size as 8GiB"},
      {{"decode", "good.safetensors", "-m", "model", "--memory", "100kB"}, "even in bands, and --memory allows"},
      {{"decode", "good.safetensors", "-m", "model", "--keep-free", "some"}, "--keep-free takes a size as 8GiB"},
      {{"decode", "good.safetensors", "-m", "model", "--memory", "8GiB", "--keep-free", "1GiB"}, "says what there is"},
      {{"decode", "good.safetensors", "-m", "empty"}, "diffusion_pytorch_model.safetensors"},
      {{"decode", "good.safetensors", "-m", "fifteen"}, "_class_name"},
      {{"decode", "good.safetensors", "-m", "htdemucs"}, "use timbre separate"},
      {{"encode", "odd.safetensors", "-m", "model"}, "multiples of 8"},
      {{"encode", "text.png", "-m", "model"}, "text.png"},
      {{"encode", "good.safetensors", "nan.safetensors", "-m", "model"}, "takes one"},
      {{"encode", "odd.safetensors", "-m", "model", "--fps", "24"}, "frames decode"},
      {{"decode", "good.safetensors", "-m", "model", "--seed", "2"}, "--sample"},
      {{"decode", "good.safetensors", "-m", "model", "-o", "f_%d.png", "--crf", "9"}, "belongs to a .mp4"},
      {{"decode", "good.safetensors", "--preview", "--mode", "whole"}, "takes no network"},
      {{"decode", "good.safetensors", "--preview", "--tile", "64"}, "takes no network"},
      {{"decode", "good.safetensors", "--preview", "--memory", "8GiB"}, "takes no network"},
  };
  for (const auto& one : cases) {
    const Ran ran = Frames(folder, one.words);
    const std::string label = one.words[1] + ": " + ran.err;
    EXPECT_TRUE(ran.code == 1 || ran.code == 2) << label;
    EXPECT_NE(ran.err.find(one.says), std::string::npos) << one.says << " is not in " << label;
    EXPECT_EQ(testing::FilesIn(folder.path()).size(), before) << label;
  }
}

}  // namespace
}  // namespace timbre
