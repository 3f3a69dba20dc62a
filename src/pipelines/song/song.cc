#include "pipelines/song/song.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <iterator>

#include "audio/encode.h"
#include "base/event.h"
#include "base/files.h"
#include "base/output_set.h"
#include "base/text.h"
#include "base/timer.h"
#include "formats/safetensors.h"
#include "models/song/lyrics.h"
#include "models/song/noise.h"
#include "pipelines/output_files.h"
#include "pipelines/song/song_decoder.h"
#include "pipelines/song/song_sampler.h"
#include "pipelines/song/song_style.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxTensor = int64_t{1} << 28;  // elements of a file's tensor

// ---- What files give ----

Result<HostTensor> ReadTensor(const std::string& path, const std::string& name) {
  TIMBRE_TRY(const Safetensors file, ReadSafetensors(path));
  const auto found = file.tensors->find(name);
  if (found == file.tensors->end()) {
    return Fail(ErrorCode::kNotFound, Printable(path) + ": it holds no tensor '" + name + "'");
  }
  if (found->second.shape.elements() > kMaxTensor) {
    return Fail(ErrorCode::kUnsupported, Printable(path) + ": its tensor '" + name + "' is too large to be one");
  }
  return found->second;
}

Result<std::vector<float>> FiniteValues(const std::string& path, const std::string& name, const HostTensor& tensor) {
  std::vector<float> values = tensor.ToF32();
  if (!std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); })) {
    return Fail(ErrorCode::kCorrupt, Printable(path) + ": '" + name + "' holds something that is not a number");
  }
  return values;
}

bool IsSafetensors(const std::string& path) { return fs::path(path).extension() == ".safetensors"; }

Result<std::vector<int32_t>> TokensOf(const std::string& path) {
  if (!IsSafetensors(path)) {
    TIMBRE_TRY(const std::string text, ReadSmallText(path));
    auto tokens = ParseTokens(text);
    if (!tokens) return Prefix(tokens.error(), Printable(path));
    return tokens;
  }
  TIMBRE_TRY(const HostTensor tensor, ReadTensor(path, "text"));
  std::string text;
  TIMBRE_TRY(const std::vector<float> values, FiniteValues(path, "text", tensor));
  std::vector<int32_t> tokens;
  for (const float value : values) {
    if (value < 0 || value > 1e6f || value != std::floor(value)) {
      return Fail(ErrorCode::kCorrupt, Printable(path) + ": 'text' holds something that is not a token");
    }
    tokens.push_back(static_cast<int32_t>(value));
  }
  return tokens;
}

Result<std::string> LyricsText(const std::string& path) {
  if (path != "-") return ReadSmallText(path);
  constexpr size_t kMost = size_t{1} << 20;
  std::string text;
  char buffer[4096];
  while (std::cin.read(buffer, sizeof(buffer)), std::cin.gcount() > 0) {
    text.append(buffer, static_cast<size_t>(std::cin.gcount()));
    if (text.size() > kMost) return Fail(ErrorCode::kUnsupported, "the lyrics take more than a mebibyte");
  }
  return text;
}

Result<std::vector<int32_t>> Tokens(const SongOptions& options, const std::function<Status()>& cancelled,
                                    std::vector<std::string>& warnings) {
  if (!options.tokens.empty()) return TokensOf(options.tokens);
  const bool phones = !options.phones.empty();
  if (!phones && options.lyrics.empty()) return std::vector<int32_t>();  // an instrumental
  const std::string& path = phones ? options.phones : options.lyrics;
  TIMBRE_TRY(const std::string text, LyricsText(path));
  auto read = phones ? TokenizePhones(text) : TokenizeLyrics(text, EspeakPhonemizer(cancelled));
  if (!read) return Prefix(read.error(), path == "-" ? "standard input" : Printable(path));
  warnings.insert(warnings.end(), read->warnings.begin(), read->warnings.end());
  if (read->tokens.empty()) {
    return Fail(ErrorCode::kInvalidArgument, path == "-" ? "standard input holds nothing that can be sung"
                                                         : Printable(path) + ": it holds nothing that can be sung");
  }
  return std::move(read->tokens);
}

// ---- Where the sound goes ----

// Errors where the file's ending and the options don't go together.
Result<WriteOptions> WriteOptionsOf(const SongOptions& options) {
  std::string ending = fs::path(options.output).extension().string();
  if (!ending.empty()) ending.erase(0, 1);
  const bool automatic = options.format == "auto";
  const std::string& name = automatic ? ending : options.format;
  const auto format = ParseFileFormat(name);
  if (automatic && (!format || FileExtension(*format) != ending)) {
    return Fail(ErrorCode::kInvalidArgument,
                "'" + Printable(options.output) + "' does not end in wav, flac, mp3, ogg, opus or m4a");
  }
  if (!format) return tl::unexpected<Error>(format.error());
  if (FileExtension(*format) != ending) {
    return Fail(ErrorCode::kInvalidArgument, "--format " + name + " is for files that end in ." +
                                                 std::string(FileExtension(*format)) + ", not for '" +
                                                 Printable(options.output) + "'");
  }
  return ParseWriteOptions(name, options.sample_format, options.clip, options.bitrate, "");
}

// The file, and the second channel that the reference adds: the first, lower and 10 ms later.
class SongFile {
 public:
  static Result<std::unique_ptr<SongFile>> Create(const SongOptions& options, int sample_rate, OutputSet& outputs) {
    TIMBRE_TRY(const WriteOptions write, WriteOptionsOf(options));
    auto file = std::make_unique<SongFile>();
    file->channels_ = options.fake_stereo ? 2 : 1;
    file->delayed_.resize(static_cast<size_t>(kDelay * sample_rate));
    TIMBRE_TRY(file->writer_, AudioWriter::Create(options.output, write, sample_rate, file->channels_, &outputs));
    return file;
  }

  Status Write(const float* samples, int64_t count) {
    if (channels_ == 1) return writer_->Write(samples, count);
    interleaved_.resize(static_cast<size_t>(2 * count));
    for (int64_t i = 0; i < count; ++i) {
      interleaved_[2 * i] = samples[i];
      float& delayed = delayed_[at_];
      interleaved_[2 * i + 1] = delayed;
      delayed = kLower * samples[i];
      at_ = (at_ + 1) % delayed_.size();
    }
    return writer_->Write(interleaved_.data(), count);
  }

  Result<WriteReport> Finish() { return writer_->Finish(); }
  int channels() const { return channels_; }

 private:
  static constexpr double kDelay = 0.01;  // seconds
  static constexpr float kLower = 0.8f;

  std::unique_ptr<AudioWriter> writer_;
  int channels_ = 2;
  std::vector<float> delayed_, interleaved_;
  size_t at_ = 0;
};

Status WriteLatents(const std::string& path, const std::vector<float>& latents, int features, OutputSet& outputs) {
  TensorMap tensors;
  tensors.emplace("latent", HostTensor::FromF32({static_cast<int64_t>(latents.size()) / features, features}, latents));
  return WriteSafetensors(path, tensors, {}, &outputs);
}

class Song {
 public:
  Song(const SongModel& model, const SongOptions& options, ThreadPool& pool, Stats& stats, Observer& observer,
       SongReport& report)
      : model_(model), options_(options), pool_(pool), stats_(stats), observer_(observer), report_(report) {}

  Status Run() {
    const ScopedTimer timer(&report_.total);
    report_.sample_rate = model_.decoder.sampling_rate;
    TIMBRE_TRY(file_, SongFile::Create(options_, report_.sample_rate, outputs_));
    if (!options_.latents.empty()) TIMBRE_CHECK(AtomicFile::Check(options_.latents));
    report_.channels = file_->channels();
    decoder_.emplace(model_.decoder, model_.decoder_weights, options_.decode == "chunked", options_.session, pool_,
                     &stats_, [this](const float* samples, int64_t count) { return file_->Write(samples, count); });
    Status made = options_.from_latents.empty() ? Generate() : DecodeLatents();
    const bool keep = !made && options_.keep_partial && decoder_->frames() > 0;
    if (!made && !keep) return made;
    report_.partial = keep;
    const Status ended = End();
    return made ? ended : made;
  }

 private:
  Status CheckCancelled() {
    if (observer_.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
    return {};
  }

  Status Push(const float* latents, int64_t frames) {
    const ScopedTimer timer(&report_.decode);
    return decoder_->Push(latents, frames);
  }

  Status Generate() {
    TIMBRE_TRY(const std::vector<int32_t> tokens, Tokens(
                                                      options_, [this] { return CheckCancelled(); }, report_.warnings));
    // Who sees that a line is left out may end it here, rather than hear of it minutes later.
    for (const std::string& warning : report_.warnings) Warn(observer_, warning);
    report_.tokens = static_cast<int64_t>(tokens.size());
    TIMBRE_TRY(const std::vector<float> style, StyleOf(options_, pool_, stats_));
    TIMBRE_CHECK(CheckCancelled());
    SamplerOptions sampling;
    sampling.steps = options_.steps;
    sampling.guidance = options_.guidance;
    sampling.frames = static_cast<int64_t>(options_.seconds * kLatentsPerSecond);
    TIMBRE_TRY(const SongSampler::Noise noise, NoiseSource(sampling.frames));
    std::unique_ptr<SongSampler> sampler;
    {
      const ScopedTimer timer(&report_.text);
      TIMBRE_TRY(sampler, SongSampler::Create(model_.dit, model_.dit_weights, tokens, style, sampling, options_.session,
                                              pool_, &stats_));
    }
    // A decoder that can't be made is known before minutes are spent on latents. Songs of less than a chunk want
    // another.
    if (options_.decode == "chunked" && sampling.frames >= kDecodeChunk) TIMBRE_CHECK(decoder_->Prepare());
    report_.device = sampler->session().device_name();
    report_.device_reason = sampler->session().device_reason();

    const int64_t evaluations = sampler->blocks() * sampler->evaluations();
    int64_t evaluated = 0, decoded = 0;
    const auto between = [&]() -> Status {
      observer_.OnProgress({.stage = Stage::kCompute,
                            .done = evaluated++,
                            .total = evaluations,
                            .audio_seconds = static_cast<double>(sampling.frames) / kLatentsPerSecond});
      return CheckCancelled();
    };
    while (!sampler->done()) {
      {
        const ScopedTimer timer(&report_.sample);
        TIMBRE_CHECK(sampler->Next(noise, between));
      }
      evaluated = sampler->block() * sampler->evaluations();
      const int64_t ready = sampler->frames();
      if (ready > decoded) {
        TIMBRE_CHECK(Push(sampler->latents().data() + decoded * model_.dit.mel_dim, ready - decoded));
        decoded = ready;
      }
      report_.blocks = sampler->block();
    }
    report_.ended = sampler->block() < sampler->blocks() || decoded < sampler->block() * model_.dit.block_size;
    report_.kernels = CountKernels(sampler->session());
    observer_.OnProgress({.stage = Stage::kCompute, .done = evaluations, .total = evaluations});
    if (decoded == 0) {
      return Fail(ErrorCode::kUnsupported,
                  "the model ended the song before it began; give other lyrics, another style or another --seed");
    }
    kept_ = sampler->latents();
    kept_.resize(static_cast<size_t>(decoded * model_.dit.mel_dim));
    return {};
  }

  Status DecodeLatents() {
    TIMBRE_TRY(const HostTensor tensor, ReadTensor(options_.from_latents, "latent"));
    const int64_t features = model_.decoder.in_channels;
    if (tensor.shape.rank() != 2 || tensor.shape[1] != features || tensor.shape[0] < 1) {
      return Fail(ErrorCode::kInvalidArgument, Printable(options_.from_latents) + ": 'latent' has shape " +
                                                   tensor.shape.ToString() + " where the decoder wants [frames, " +
                                                   std::to_string(features) + "]");
    }
    TIMBRE_TRY(const std::vector<float> latents, FiniteValues(options_.from_latents, "latent", tensor));
    const int64_t frames = tensor.shape[0];
    for (int64_t at = 0; at < frames; at += kDecodeChunk) {
      observer_.OnProgress({.stage = Stage::kCompute, .done = at, .total = frames});
      TIMBRE_CHECK(CheckCancelled());
      TIMBRE_CHECK(Push(latents.data() + at * features, std::min(kDecodeChunk, frames - at)));
    }
    return {};
  }

  Status End() {
    {
      const ScopedTimer timer(&report_.decode);
      TIMBRE_CHECK(decoder_->Finish());
    }
    if (report_.device.empty()) {
      report_.device = decoder_->session()->device_name();
      report_.device_reason = decoder_->session()->device_reason();
    }
    for (const auto& [kernel, count] : CountKernels(*decoder_->session())) report_.kernels[kernel] += count;
    const bool keep_latents = !options_.latents.empty() && !kept_.empty();
    if (keep_latents) TIMBRE_CHECK(WriteLatents(options_.latents, kept_, model_.dit.mel_dim, outputs_));
    TIMBRE_TRY(const WriteReport written, file_->Finish());
    TIMBRE_CHECK(outputs_.Commit());
    if (keep_latents) report_.latents = options_.latents;
    report_.output = options_.output;
    report_.frames = decoder_->frames();
    report_.samples = written.frames;
    report_.sample_rate = written.sample_rate;
    report_.gain = written.gain;
    report_.seconds = static_cast<double>(report_.samples) / report_.sample_rate;
    return {};
  }

  // Noise of a file, or of the seed. Where no length was asked for, `frames` (0) becomes what the file lasts for, else
  // the most that there may be.
  Result<SongSampler::Noise> NoiseSource(int64_t& frames) {
    constexpr auto kMostFrames = static_cast<int64_t>(kMostSongSeconds * kLatentsPerSecond);
    if (options_.noise.empty()) {
      if (frames == 0) frames = kMostFrames;
      auto noise = std::make_shared<NormalNoise>(options_.seed);
      // Drawn once for each block, in order, so that a block that is made again gets the same.
      auto drawn = std::make_shared<std::pair<int64_t, std::vector<float>>>(-1, std::vector<float>());
      return [noise, drawn](int64_t block, std::span<float> values) -> Status {
        if (drawn->first != block) {
          drawn->second.resize(values.size());
          noise->Fill(drawn->second);
          drawn->first = block;
        }
        std::copy(drawn->second.begin(), drawn->second.end(), values.begin());
        return {};
      };
    }
    TIMBRE_TRY(const HostTensor tensor, ReadTensor(options_.noise, "noise"));
    const int64_t rows = model_.dit.block_size;
    if (frames == 0)
      frames = std::clamp<int64_t>(tensor.shape.rank() == 3 ? tensor.shape[0] * rows : 0, 1, kMostFrames);
    const int64_t blocks = (frames + rows - 1) / rows;
    if (tensor.shape.rank() != 3 || tensor.shape[1] != rows || tensor.shape[2] != model_.dit.mel_dim ||
        tensor.shape[0] < blocks) {
      return Fail(ErrorCode::kInvalidArgument, Printable(options_.noise) + ": 'noise' has shape " +
                                                   tensor.shape.ToString() + " where the song wants [" +
                                                   std::to_string(blocks) + " or more, " + std::to_string(rows) + ", " +
                                                   std::to_string(model_.dit.mel_dim) + "]");
    }
    TIMBRE_TRY(std::vector<float> values, FiniteValues(options_.noise, "noise", tensor));
    return [values = std::move(values)](int64_t block, std::span<float> out) -> Status {
      std::copy_n(values.begin() + block * static_cast<int64_t>(out.size()), out.size(), out.begin());
      return {};
    };
  }

  const SongModel& model_;
  const SongOptions& options_;
  ThreadPool& pool_;
  Stats& stats_;
  Observer& observer_;
  SongReport& report_;
  OutputSet outputs_;
  std::unique_ptr<SongFile> file_;
  std::optional<SongDecoder> decoder_;
  std::vector<float> kept_;  // latents
};

}  // namespace

FieldList SongFields(SongOptions& options) {
  const auto if_composed = [&options] {
    return options.from_latents.empty() ? "" : "--from-latents are decoded as they are";
  };
  FieldList fields = {
      {.name = "lyrics",
       .value = &options.lyrics,
       .help = "what is sung, a line each, with [verse], [chorus] and the like; - for standard input",
       .placeholder = "FILE"},
      {.name = "phones", .value = &options.phones, .help = "phones in place of words", .placeholder = "FILE"},
      {.name = "tokens",
       .value = &options.tokens,
       .help = "the model's tokens in place of words: numbers, or 'text' of a .safetensors",
       .placeholder = "FILE"},
      {.name = "style",
       .value = &options.style,
       .help = "'style' of a .safetensors, 512 numbers",
       .placeholder = "FILE"},
      {.name = "style-audio",
       .value = &options.style_audio,
       .help = "a style like that of this sound, ten seconds of it",
       .placeholder = "FILE"},
      {.name = "style-offset",
       .value = &options.style_offset,
       .help = "where in the sound they begin",
       .placeholder = "S",
       .min = 0,
       .max = 86400,
       .idle = [&options] { return options.style_audio.empty() ? "there is no --style-audio" : ""; }},
      {.name = "style-text",
       .value = &options.style_text,
       .help = "a style in words: \"slow piano ballad, female voice\"",
       .placeholder = "TEXT"},
      {.name = "style-blend",
       .value = &options.style_blend,
       .help = "the sound's share where both are given",
       .placeholder = "F",
       .min = 0,
       .max = 1,
       .idle =
           [&options] {
             const bool both = !options.style_audio.empty() && !options.style_text.empty();
             return both ? "" : "it is between --style-audio and --style-text";
           }},
      {.name = "style-model",
       .value = &options.style_model,
       .help = "what makes styles of sound and words",
       .placeholder = "NAME|FOLDER"},
      {.name = "seconds",
       .value = &options.seconds,
       .help = "at most (default: as long as --noise lasts, else 210)",
       .placeholder = "S",
       .min = 1,
       .max = kMostSongSeconds,
       .idle = if_composed},
      {.name = "steps",
       .value = &options.steps,
       .help = "points of time in each block",
       .min = 2,
       .max = 1000,
       .idle = if_composed},
      {.name = "cfg",
       .value = &options.guidance,
       .help = "how closely words and style are followed; 0: as they come",
       .placeholder = "G",
       .min = 0,
       .max = 20,
       .idle = if_composed},
      {.name = "seed",
       .value = &options.seed,
       .help = "of the noise that the song is made of",
       .idle = [&options, if_composed] { return options.noise.empty() ? if_composed() : "--noise takes its place"; }},
      {.name = "noise",
       .value = &options.noise,
       .help = "'noise' of a .safetensors, in place of a seed",
       .placeholder = "FILE"},
      {.name = "latents",
       .value = &options.latents,
       .help = "keep the song's latents here, a .safetensors",
       .placeholder = "FILE"},
      {.name = "from-latents",
       .value = &options.from_latents,
       .help = "decode these, and nothing else",
       .placeholder = "FILE"},
      {.name = "fake-stereo",
       .value = &options.fake_stereo,
       .help = "one channel, without the second that is the first, later and lower"},
      {.name = "decode",
       .value = &options.decode,
       .help = "in chunks as the reference does, or whole, which takes memory for all of it",
       .choices = {"chunked", "whole"}},
      {.name = "output",
       .value = &options.output,
       .help = "the song; its ending says the format: wav, flac, mp3, ogg, opus, m4a",
       .placeholder = "FILE",
       .letter = 'o'},
  };
  Append(fields, FileFields({.format = options.format,
                             .sample_format = options.sample_format,
                             .clip = &options.clip,
                             .bitrate = options.bitrate,
                             .output = &options.output}));
  return Append(fields, {
                            {.name = "keep-partial",
                             .value = &options.keep_partial,
                             .help = "keep what was finished where the rest fails or is cancelled"},
                        });
}

Status CheckSongOptions(const SongOptions& options) {
  const auto given = [](const std::string& text) { return text.empty() ? 0 : 1; };
  const auto wrong = [](std::string what) { return Fail(ErrorCode::kInvalidArgument, std::move(what)); };
  const bool decode_only = !options.from_latents.empty();
  if (given(options.lyrics) + given(options.phones) + given(options.tokens) > 1) {
    return wrong("--lyrics, --phones and --tokens say the same thing; give one of them");
  }
  if (!options.style.empty() && given(options.style_audio) + given(options.style_text) > 0) {
    return wrong("--style is a style already; leave --style-audio and --style-text out");
  }
  if (!decode_only && options.style.empty() && options.style_audio.empty() && options.style_text.empty()) {
    return wrong("a style is missing: give --style-text, --style-audio or --style");
  }
  if (decode_only && given(options.lyrics) + given(options.phones) + given(options.tokens) + given(options.noise) +
                             given(options.latents) >
                         0) {
    return wrong("--from-latents decodes latents that are there: no words, no noise and no --latents go with it");
  }
  const std::string* const files[] = {&options.phones,      &options.tokens, &options.style,
                                      &options.style_audio, &options.noise,  &options.from_latents};
  for (const std::string* file : files) {
    if (!file->empty() && FileBytes(*file) < 0) {
      return tl::unexpected<Error>(NoFile(*file));
    }
  }
  if (!options.lyrics.empty() && options.lyrics != "-" && FileBytes(options.lyrics) < 0) {
    return tl::unexpected<Error>(NoFile(options.lyrics));
  }
  TIMBRE_CHECK(WriteOptionsOf(options));
  std::error_code error;
  for (const std::string& path : {options.output, options.latents}) {
    const fs::path folder = fs::path(path).parent_path();
    if (!folder.empty() && !fs::is_directory(folder, error)) {
      return Fail(ErrorCode::kNotFound, "there is no folder '" + Printable(folder.string()) + "' to write to");
    }
    for (const std::string* file : files) {
      TIMBRE_CHECK(CheckNotInput(path, *file, "name another file"));
    }
    TIMBRE_CHECK(CheckNotInput(path, options.lyrics, "name another file"));
  }
  if (!options.latents.empty() && IsSameFile(options.output, options.latents)) {
    return wrong("--latents and --output name the same file");
  }
  return {};
}

Status MakeSong(const SongModel& model, const SongOptions& options, ThreadPool& pool, Stats& stats, Observer& observer,
                SongReport& report) {
  Status made = Song(model, options, pool, stats, observer, report).Run();
  report.real_time_factor = report.seconds > 0 ? report.total / report.seconds : 0;
  return made;
}

}  // namespace timbre
