#include "pipelines/separate/combine.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "audio/encode.h"
#include "base/output_set.h"
#include "base/quantities.h"
#include "base/text.h"
#include "dsp/pitch_shift.h"
#include "pipelines/output_files.h"
#include "pipelines/track_reader.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using Samples = std::vector<float>;

constexpr size_t kMostInputs = 64;

// The inputs side by side: blocks of one length, the shorter inputs continued by silence.
class Inputs {
 public:
  static Result<Inputs> Open(const std::vector<std::string>& files, int sample_rate, int channels,
                             const ReadOptions& read) {
    std::vector<std::unique_ptr<TrackReader>> readers;
    for (const std::string& file : files) {
      TIMBRE_TRY(std::unique_ptr<TrackReader> reader, TrackReader::Open(file, sample_rate, channels, read));
      readers.push_back(std::move(reader));
    }
    return Inputs(std::move(readers), channels);
  }

  // Calls take(pointers, frames) until all have ended.
  template <typename Take>
  Status ForEachBlock(Observer& observer, const Take& take) {
    std::vector<const float*> pointers(readers_.size());
    while (true) {
      if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled.");
      // As much as is there of all that go on; at the end, of the longest.
      size_t least = SIZE_MAX, most = 0;
      for (size_t k = 0; k < readers_.size(); ++k) {
        if (waiting_[k].empty() && !ended_[k]) {
          TIMBRE_CHECK(readers_[k]->Read(&waiting_[k]));
          ended_[k] = waiting_[k].empty();
        }
        if (!ended_[k]) least = std::min(least, waiting_[k].size());
        most = std::max(most, waiting_[k].size());
      }
      if (most == 0) return {};
      const size_t count = least == SIZE_MAX ? most : least;
      for (size_t k = 0; k < readers_.size(); ++k) {
        if (ended_[k]) waiting_[k].assign(count, 0.0f);
        pointers[k] = waiting_[k].data();
      }
      TIMBRE_CHECK(take(pointers, static_cast<int64_t>(count) / channels_));
      for (Samples& samples : waiting_) samples.erase(samples.begin(), samples.begin() + static_cast<int64_t>(count));
    }
  }

  // What there is to say of the files that were read, by their names.
  std::vector<std::string> Warnings(const std::vector<std::string>& files) const {
    std::vector<std::string> warnings;
    for (size_t k = 0; k < readers_.size(); ++k) {
      if (!readers_[k]->warning().empty()) warnings.push_back(files[k] + ": " + readers_[k]->warning());
    }
    return warnings;
  }

  Status Rewind() {
    for (size_t k = 0; k < readers_.size(); ++k) {
      TIMBRE_CHECK(readers_[k]->Rewind());
      waiting_[k].clear();
      ended_[k] = false;
    }
    return {};
  }

 private:
  Inputs(std::vector<std::unique_ptr<TrackReader>> readers, int channels)
      : readers_(std::move(readers)), channels_(channels), waiting_(readers_.size()), ended_(readers_.size(), false) {}

  std::vector<std::unique_ptr<TrackReader>> readers_;
  const int channels_;
  std::vector<Samples> waiting_;
  std::vector<bool> ended_;
};

// What an input's left and right become of it in the mix's left and right.
struct MixGains {
  double ll = 1, rl = 0, lr = 0, rr = 1;
};

// At equal power, as Web Audio's StereoPannerNode has it: of stereo one side goes over to the other; a mono input,
// whose sides are one and the same, would come out 6 dB up on one of them, and goes from both to one, in the middle as
// it is.
MixGains GainsOf(double db, double pan, bool mono) {
  MixGains gains;
  if (mono) {
    const double angle = (pan + 1) * M_PI / 4;
    gains = {.ll = M_SQRT2 * std::cos(angle), .lr = M_SQRT2 * std::sin(angle), .rr = 0};
  } else {
    const double angle = (pan <= 0 ? pan + 1 : pan) * M_PI / 2, near = std::cos(angle), far = std::sin(angle);
    if (pan <= 0) {
      gains.rl = near;
      gains.rr = far;
    } else {
      gains.ll = near;
      gains.lr = far;
    }
  }
  const double factor = std::pow(10.0, db / 20);
  for (double* gain : {&gains.ll, &gains.rl, &gains.lr, &gains.rr}) *gain *= factor;
  return gains;
}

// Adds a block of each input, [frames, channels], into `mixed`.
void MixBlock(const std::vector<const float*>& blocks, const std::vector<MixGains>& gains, int64_t frames, int channels,
              Samples& mixed) {
  mixed.resize(static_cast<size_t>(frames * channels));
  for (int64_t i = 0; i < frames; ++i) {
    double left = 0, right = 0;
    for (size_t k = 0; k < blocks.size(); ++k) {
      const float* const frame = blocks[k] + i * channels;
      const double l = frame[0], r = frame[channels - 1];
      left += l * gains[k].ll + r * gains[k].rl;
      right += l * gains[k].lr + r * gains[k].rr;
    }
    mixed[static_cast<size_t>(i * channels)] = static_cast<float>(left);
    if (channels == 2) mixed[static_cast<size_t>(i * 2 + 1)] = static_cast<float>(right);
  }
}

// For each channel, the input whose mean magnitude is the least; the first of equals.
class Levels {
 public:
  Levels(size_t inputs, int channels) : inputs_(inputs), channels_(channels), sums_(inputs * channels, 0.0) {}

  void Add(std::span<const float* const> blocks, int64_t frames) {
    for (size_t k = 0; k < inputs_; ++k) {
      for (int64_t i = 0; i < frames * channels_; ++i) sums_[k * channels_ + i % channels_] += std::abs(blocks[k][i]);
    }
  }
  std::vector<size_t> Quietest() const {
    std::vector<size_t> quietest(channels_, 0);
    for (int c = 0; c < channels_; ++c) {
      for (size_t k = 1; k < inputs_; ++k) {
        if (sums_[k * channels_ + c] < sums_[quietest[c] * channels_ + c]) quietest[c] = k;
      }
    }
    return quietest;
  }

 private:
  const size_t inputs_;
  const int channels_;
  std::vector<double> sums_;
};

// Parts of one pitch, mixed, then brought to it. What is not shifted is as late as what is.
class Bus {
 public:
  Bus(double ratio, int channels, bool any_shifted) : channels_(channels) {
    if (ratio != 1) shifter_.emplace(ratio, channels);
    if (ratio == 1 && any_shifted) waiting_.assign(static_cast<size_t>(PitchShifter::kLatency * channels), 0.0f);
  }

  void Add(size_t input, const MixGains& gains) {
    inputs_.push_back(input);
    gains_.push_back(gains);
  }
  // What comes out of it for a block of each input (null: silence), added to `mixed`.
  void Process(const std::vector<const float*>* blocks, int64_t frames, Samples& mixed) {
    own_.assign(static_cast<size_t>(frames * channels_), 0.0f);
    if (blocks != nullptr) {
      picked_.clear();
      for (const size_t input : inputs_) picked_.push_back((*blocks)[input]);
      MixBlock(picked_, gains_, frames, channels_, own_);
    }
    if (shifter_) shifter_->Process(own_.data(), frames);
    if (!waiting_.empty()) {
      waiting_.insert(waiting_.end(), own_.begin(), own_.end());
      std::copy_n(waiting_.begin(), own_.size(), own_.begin());
      waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(own_.size()));
    }
    for (size_t i = 0; i < own_.size(); ++i) mixed[i] += own_[i];
  }

 private:
  const int channels_;
  std::vector<size_t> inputs_;
  std::vector<MixGains> gains_;
  std::optional<PitchShifter> shifter_;
  Samples waiting_, own_;
  std::vector<const float*> picked_;
};

// The inputs at a rate that is not the writer's are as much faster or slower in it. `ratios`: of pitches, one an input.
Result<int64_t> MixInto(AudioWriter& writer, int input_rate, int channels, const std::vector<std::string>& files,
                        const std::vector<MixGains>& gains, const std::vector<double>& ratios, const ReadOptions& read,
                        Observer& observer, std::vector<std::string>& warnings) {
  TIMBRE_TRY(Inputs inputs, Inputs::Open(files, input_rate, channels, read));
  const bool any_shifted = std::any_of(ratios.begin(), ratios.end(), [](double ratio) { return ratio != 1; });
  std::map<double, Bus> buses;
  for (size_t k = 0; k < files.size(); ++k) {
    buses.try_emplace(ratios[k], ratios[k], channels, any_shifted).first->second.Add(k, gains[k]);
  }
  int64_t written = 0, late = any_shifted ? PitchShifter::kLatency : 0;
  Samples mixed;
  const auto put = [&](const std::vector<const float*>* blocks, int64_t frames) -> Status {
    mixed.assign(static_cast<size_t>(frames * channels), 0.0f);
    for (auto& [ratio, bus] : buses) bus.Process(blocks, frames, mixed);
    const int64_t skipped = std::min(late, frames);
    late -= skipped;
    written += frames - skipped;
    return writer.Write(mixed.data() + skipped * channels, frames - skipped);
  };
  TIMBRE_CHECK(inputs.ForEachBlock(
      observer, [&](const std::vector<const float*>& blocks, int64_t frames) { return put(&blocks, frames); }));
  if (any_shifted) TIMBRE_CHECK(put(nullptr, PitchShifter::kLatency));
  warnings = inputs.Warnings(files);
  return written;
}

}  // namespace

Result<std::vector<double>> ParseNumbers(const std::string& name, const std::vector<std::string>& texts, double least,
                                         double most) {
  std::vector<double> numbers;
  for (const std::string& text : texts) {
    double number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + PlusBefore(text), end, number);
    if (error != std::errc() || stop != end || !std::isfinite(number) || number < least || number > most) {
      const std::string range = std::isfinite(least) ? fmt::format(" from {} to {}", least, most) : "";
      return Fail(ErrorCode::kInvalidArgument,
                  fmt::format("--{} takes numbers{}, one for each input, not '{}'.", name, range, Printable(text, 64)));
    }
    numbers.push_back(number);
  }
  return numbers;
}

FieldList AlgorithmFields(std::string name, EnsembleAlgorithm& algorithm, std::vector<std::string>& weights) {
  const auto of_means = [&algorithm] {
    const bool mean = algorithm == EnsembleAlgorithm::kAvgWave || algorithm == EnsembleAlgorithm::kAvgFft;
    return mean ? "" : "only avg_wave and avg_fft weigh their inputs";
  };
  return {
      ChoiceField(std::move(name), &algorithm,
                  {{"avg_wave", EnsembleAlgorithm::kAvgWave},
                   {"median_wave", EnsembleAlgorithm::kMedianWave},
                   {"min_wave", EnsembleAlgorithm::kMinWave},
                   {"max_wave", EnsembleAlgorithm::kMaxWave},
                   {"avg_fft", EnsembleAlgorithm::kAvgFft},
                   {"median_fft", EnsembleAlgorithm::kMedianFft},
                   {"min_fft", EnsembleAlgorithm::kMinFft},
                   {"max_fft", EnsembleAlgorithm::kMaxFft},
                   {"uvr_min_spec", EnsembleAlgorithm::kUvrMinSpec},
                   {"uvr_max_spec", EnsembleAlgorithm::kUvrMaxSpec},
                   {"ensemble_wav", EnsembleAlgorithm::kEnsembleWav}},
                  "mean, median, least or greatest, of samples or of spectra"),
      {.name = "weights",
       .value = &weights,
       .help = "of the means, one an input (default: equal)",
       .placeholder = "W,W",
       .idle = of_means},
  };
}

FieldList CombineFields(CombineOptions& options) {
  FieldList fields = {
      {.name = "output", .value = &options.output, .help = "the file to write", .placeholder = "FILE", .letter = 'o'}};
  FieldList of_versions = AlgorithmFields("algorithm", options.algorithm, options.weights);
  for (Field& field : of_versions) {
    field.idle = [&options, idle = std::move(field.idle)]() -> std::string {
      if (options.mix) return "--mix adds its inputs";
      return idle ? idle() : "";
    };
  }
  Append(fields, std::move(of_versions));
  const auto unless_mixed = [&options] { return options.mix ? "" : "--mix is not given"; };
  Append(fields, {{.name = "mix", .value = &options.mix, .help = "add the inputs, as parts of one track"},
                  {.name = "gains",
                   .value = &options.gains,
                   .help = "of a mix, in dB from -100 to 60, one an input",
                   .placeholder = "DB,DB",
                   .idle = unless_mixed},
                  {.name = "pans",
                   .value = &options.pans,
                   .help = "of a mix, from -1, left, to 1, right, one an input",
                   .placeholder = "P,P",
                   .idle = unless_mixed},
                  {.name = "semitones",
                   .value = &options.semitones,
                   .help = "of a mix, by which each is raised, from -12 to 12, one an input; drums keep best at 0",
                   .placeholder = "S,S",
                   .idle = unless_mixed},
                  {.name = "speed",
                   .value = &options.speed,
                   .help = "of a mix, as a factor; the pitch stays",
                   .placeholder = "FACTOR",
                   .min = 0.25,
                   .max = 4,
                   .idle = unless_mixed},
                  {.name = "tape",
                   .value = &options.tape,
                   .help = "with --speed, the pitch goes along, as a tape's",
                   .idle = [&options]() -> std::string {
                     if (!options.mix) return "--mix is not given";
                     return options.speed == 1 ? "--speed is not given" : "";
                   }}});
  Append(fields, PartFields(options.part));
  Append(fields, FileFields({.format = options.format,
                             .sample_format = options.sample_format,
                             .clip = &options.clip,
                             .bitrate = options.bitrate,
                             .output = &options.output}));
  return Append(fields, {TempField(options.temp_dir)});
}

Result<int64_t> CombineInto(AudioWriter& writer, int sample_rate, int channels, const std::vector<std::string>& files,
                            EnsembleAlgorithm algorithm, const std::vector<double>& weights, const ReadOptions& read,
                            Observer& observer, std::vector<std::string>* warnings) {
  TIMBRE_TRY(Inputs inputs, Inputs::Open(files, sample_rate, channels, read));
  Ensemble::Options how{.algorithm = algorithm, .inputs = files.size(), .channels = channels, .weights = weights};
  if (algorithm == EnsembleAlgorithm::kEnsembleWav) {
    Levels levels(files.size(), channels);
    TIMBRE_CHECK(inputs.ForEachBlock(observer, [&](const std::vector<const float*>& blocks, int64_t frames) -> Status {
      levels.Add(blocks, frames);
      return {};
    }));
    how.quietest = levels.Quietest();
    TIMBRE_CHECK(inputs.Rewind());
  }
  TIMBRE_TRY(Ensemble ensemble, Ensemble::Create(std::move(how)));
  int64_t written = 0;
  Samples done;
  const auto put = [&]() -> Status {
    const int64_t frames = static_cast<int64_t>(done.size()) / channels;
    written += frames;
    TIMBRE_CHECK(writer.Write(done.data(), frames));
    done.clear();
    return {};
  };
  TIMBRE_CHECK(inputs.ForEachBlock(observer, [&](const std::vector<const float*>& blocks, int64_t frames) -> Status {
    ensemble.Push(blocks, frames, &done);
    return put();
  }));
  ensemble.Finish(&done);
  TIMBRE_CHECK(put());
  if (warnings != nullptr) *warnings = inputs.Warnings(files);
  return written;
}

Result<std::vector<float>> CombineSamples(const std::vector<std::span<const float>>& versions, int channels,
                                          EnsembleAlgorithm algorithm, const std::vector<double>& weights) {
  std::vector<const float*> blocks;
  for (const std::span<const float> version : versions) {
    if (version.size() != versions.front().size()) return Fail(ErrorCode::kInternal, "versions of different lengths");
    blocks.push_back(version.data());
  }
  const int64_t frames = static_cast<int64_t>(versions.front().size()) / channels;
  Levels levels(versions.size(), channels);
  levels.Add(blocks, frames);
  TIMBRE_TRY(Ensemble ensemble, Ensemble::Create({.algorithm = algorithm,
                                                  .inputs = versions.size(),
                                                  .channels = channels,
                                                  .weights = weights,
                                                  .quietest = levels.Quietest()}));
  std::vector<float> combined;
  ensemble.Push(blocks, frames, &combined);
  ensemble.Finish(&combined);
  return combined;
}

Result<CombineReport> Combine(const std::vector<std::string>& paths, const CombineOptions& options,
                              Observer& observer) {
  const size_t least = options.mix ? 1 : 2;
  if (paths.size() < least || paths.size() > kMostInputs) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("combine{} takes {} to {} files; there {} {}.", options.mix ? " --mix" : "", least,
                            kMostInputs, paths.size() == 1 ? "is" : "are", paths.size()));
  }
  TIMBRE_TRY(const std::vector<double> weights, ParseNumbers("weights", options.weights));
  TIMBRE_TRY(std::vector<double> gains, ParseNumbers("gains", options.gains, -100, 60));
  TIMBRE_TRY(std::vector<double> pans, ParseNumbers("pans", options.pans, -1, 1));
  TIMBRE_TRY(std::vector<double> semitones, ParseNumbers("semitones", options.semitones, -12, 12));
  for (auto& [name, numbers] :
       {std::pair{"gains", &gains}, std::pair{"pans", &pans}, std::pair{"semitones", &semitones}}) {
    if (numbers->empty()) numbers->assign(paths.size(), 0.0);
    if (numbers->size() == paths.size()) continue;
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("--{} takes one number for each input: {}, not {}.", name, paths.size(), numbers->size()));
  }
  TIMBRE_TRY(const AudioPart part, ParsePart(options.part));
  TIMBRE_TRY(const WriteOptions write,
             ParseWriteOptions(FormatName(options.format, options.output), options.sample_format, options.clip,
                               options.bitrate, options.temp_dir));
  const ReadOptions read{
      .cancelled = [&observer] { return observer.Cancelled(); },
      .temporary_folder = TemporaryFolderFor(options.temp_dir, fs::path(options.output).parent_path().string(), false),
      .part = part};
  CombineReport report{.output = options.output};
  report.channels = 1;
  std::vector<bool> mono;
  for (const std::string& path : paths) {
    TIMBRE_CHECK(CheckNotInput(options.output, path, "choose another --output"));
    TIMBRE_TRY(const std::unique_ptr<AudioReader> reader, AudioReader::Open(path, read));
    if (report.sample_rate == 0) report.sample_rate = reader->info().sample_rate;
    mono.push_back(reader->info().channels == 1);
    if (!mono.back()) report.channels = 2;
  }
  if (std::any_of(pans.begin(), pans.end(), [](double pan) { return pan != 0; })) report.channels = 2;
  OutputSet outputs;
  TIMBRE_TRY(const std::unique_ptr<AudioWriter> writer,
             AudioWriter::Create(options.output, write, report.sample_rate, report.channels, &outputs));
  if (options.mix) {
    std::vector<MixGains> factors;
    std::vector<double> ratios;
    const int input_rate = static_cast<int>(std::lround(report.sample_rate / options.speed));
    const double faster = options.tape ? 1 : static_cast<double>(report.sample_rate) / input_rate;
    for (size_t k = 0; k < paths.size(); ++k) {
      factors.push_back(GainsOf(gains[k], pans[k], mono[k]));
      ratios.push_back(std::exp2(semitones[k] / 12) / faster);
    }
    TIMBRE_TRY(report.samples,
               MixInto(*writer, input_rate, report.channels, paths, factors, ratios, read, observer, report.warnings));
  } else {
    TIMBRE_CHECK(CombineInto(*writer, report.sample_rate, report.channels, paths, options.algorithm, weights, read,
                             observer, &report.warnings));
  }
  TIMBRE_TRY(const WriteReport written, writer->Finish());
  report.samples = written.frames;
  report.sample_rate = written.sample_rate;
  report.gain = written.gain;
  TIMBRE_CHECK(outputs.Commit());
  report.seconds = static_cast<double>(report.samples) / report.sample_rate;
  return report;
}

}  // namespace timbre
