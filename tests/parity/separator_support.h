// One chunk of a separation network, and whole tracks through the program, against the reference's.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "audio/decode.h"
#include "audio/encode.h"
#include "models/separate/separation_model.h"
#include "runtime/session/session.h"
#include "tests/e2e/program.h"
#include "tests/support/golden.h"

namespace timbre::testing {

// One tile of the case's "mix" on the CPU: [stems * channels, samples], as the references lay it out.
inline std::vector<float> RunChunk(const Safetensors& file, const SeparationModel& model) {
  const std::vector<float> mix = Values(file, "mix");
  const int64_t samples = static_cast<int64_t>(mix.size()) / 2;
  auto graph = model.BuildTile(samples, 1);
  EXPECT_TRUE(graph) << graph.error().message;
  if (!graph) return {};
  ThreadPool pool;
  auto session = MakeSession(*std::move(graph), {.device = "cpu"}, pool, nullptr);
  EXPECT_TRUE(session) << session.error().message;
  if (!session) return {};
  const std::vector<float> input = Transposed(mix, 2, samples);
  const int64_t features = 2 * static_cast<int64_t>(model.info().stems.size());
  std::vector<float> output(samples * features);
  const float* const in[] = {input.data()};
  float* const out[] = {output.data()};
  const Status ran = (*session)->Run(in, out);
  EXPECT_TRUE(ran) << ran.error().message;
  return Transposed(output, samples, features);
}

inline void CheckChunk(const Safetensors& file, const SeparationModel& model, double floor_db) {
  std::vector<float> ours = RunChunk(file, model);
  const int64_t channels = 2 * static_cast<int64_t>(model.info().stems.size());
  const std::string slice = file.tensors->contains("stems") ? "stems" : "stems.head";
  ASSERT_TRUE(file.tensors->contains(slice));
  // The reference's are those that the network gives; the rest is not among them.
  const Shape& theirs = file.tensors->at(slice).shape;
  const int64_t rows = theirs[0] * theirs[1];
  ASSERT_LE(rows, channels);
  ours.resize(ours.size() / static_cast<size_t>(channels) * static_cast<size_t>(rows));
  CheckSlices(file, "stems", ours, rows, floor_db);
}

// A stereo file of float samples at 44.1 kHz; `mix` is [2, samples].
inline void WriteExact(const std::string& path, const std::vector<float>& mix) {
  const int64_t samples = static_cast<int64_t>(mix.size()) / 2;
  const WriteOptions exact{.format = FileFormat::kWav, .sample_format = SampleFormat::kF32, .clip = ClipMode::kNone};
  auto writer = AudioWriter::Create(path, exact, 44100, 2);
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE((*writer)->Write(Transposed(mix, 2, samples).data(), samples));
  ASSERT_TRUE((*writer)->Finish());
}

inline std::vector<float> ReadExact(const std::string& path) {
  const auto audio = ReadAudioFile(path, 1 << 24);
  EXPECT_TRUE(audio) << audio.error().message;
  return audio ? Transposed(audio->samples, audio->frames(), 2) : std::vector<float>();
}

// The case's "mix" through the program, whose `stems` are held against the case's "<prefix><stem>".
inline void CheckTrack(const std::string& golden, const std::string& checkpoint, const std::vector<std::string>& stems,
                       double floor_db, const std::vector<std::string>& more = {},
                       const std::string& prefix = "stems.") {
  const auto file = ReadSafetensors(golden);
  ASSERT_TRUE(file) << file.error().message;
  const TempFolder folder;
  WriteExact(folder / "mix.wav", Values(*file, "mix"));
  std::vector<std::string> words = {"separate", "mix.wav",      "--model",         checkpoint, "--output", ".",
                                    "--name",   "{stem}.{ext}", "--sample-format", "f32",      "--clip",   "none"};
  words.insert(words.end(), more.begin(), more.end());
  const Ran ran = RunTimbre(words, folder.path());
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const std::string& stem : stems) {
    EXPECT_EQ(CheckSlices(*file, prefix + stem, ReadExact(folder / (stem + ".wav")), 2, floor_db), 1u);
  }
}

}  // namespace timbre::testing
