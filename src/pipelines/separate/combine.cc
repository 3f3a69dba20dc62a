#include "pipelines/separate/combine.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <memory>

#include "audio/encode.h"
#include "base/output_set.h"
#include "base/text.h"
#include "pipelines/output_files.h"
#include "pipelines/track_reader.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using Samples = std::vector<float>;

constexpr size_t kMostInputs = 64;

Result<std::vector<double>> Numbers(const std::vector<std::string>& texts) {
  std::vector<double> numbers;
  for (const std::string& text : texts) {
    double number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || stop != end || !std::isfinite(number)) {
      return Fail(ErrorCode::kInvalidArgument,
                  "--weights takes numbers, and '" + Printable(text) + "' is none; give one for each input.");
    }
    numbers.push_back(number);
  }
  return numbers;
}

// The inputs side by side: blocks of one length, the shorter inputs continued by silence.
class Inputs {
 public:
  Inputs(std::vector<std::unique_ptr<TrackReader>> readers, int channels)
      : readers_(std::move(readers)), channels_(channels), waiting_(readers_.size()), ended_(readers_.size(), false) {}

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

  Status Rewind() {
    for (size_t k = 0; k < readers_.size(); ++k) {
      TIMBRE_CHECK(readers_[k]->Rewind());
      waiting_[k].clear();
      ended_[k] = false;
    }
    return {};
  }

 private:
  std::vector<std::unique_ptr<TrackReader>> readers_;
  const int channels_;
  std::vector<Samples> waiting_;
  std::vector<bool> ended_;
};

// For each channel, the input whose mean magnitude is the least; the first of equals.
Result<std::vector<size_t>> Quietest(Inputs& inputs, size_t count, int channels, Observer& observer) {
  std::vector<double> sums(count * channels, 0.0);
  TIMBRE_CHECK(inputs.ForEachBlock(observer, [&](const std::vector<const float*>& blocks, int64_t frames) -> Status {
    for (size_t k = 0; k < count; ++k) {
      for (int64_t i = 0; i < frames * channels; ++i) sums[k * channels + i % channels] += std::abs(blocks[k][i]);
    }
    return {};
  }));
  std::vector<size_t> quietest(channels, 0);
  for (int c = 0; c < channels; ++c) {
    for (size_t k = 1; k < count; ++k) {
      if (sums[k * channels + c] < sums[quietest[c] * channels + c]) quietest[c] = k;
    }
  }
  TIMBRE_CHECK(inputs.Rewind());
  return quietest;
}

}  // namespace

FieldList CombineFields(CombineOptions& options) {
  const auto of_means = [&options] {
    const bool mean =
        options.algorithm == EnsembleAlgorithm::kAvgWave || options.algorithm == EnsembleAlgorithm::kAvgFft;
    return mean ? "" : "only avg_wave and avg_fft weigh their inputs";
  };
  FieldList fields = {
      {.name = "output", .value = &options.output, .help = "the file to write", .placeholder = "FILE", .letter = 'o'},
      ChoiceField("algorithm", &options.algorithm,
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
       .value = &options.weights,
       .help = "of the means, one an input (default: equal)",
       .placeholder = "W,W",
       .idle = of_means},
  };
  Append(fields, FileFields({.format = options.format,
                             .sample_format = options.sample_format,
                             .clip = &options.clip,
                             .bitrate = options.bitrate,
                             .output = &options.output}));
  return Append(fields, {TempField(options.temp_dir)});
}

Result<CombineReport> Combine(const std::vector<std::string>& paths, const CombineOptions& options,
                              Observer& observer) {
  if (paths.size() < 2 || paths.size() > kMostInputs) {
    return Fail(ErrorCode::kInvalidArgument, "combine takes 2 to 64 files; there are " + std::to_string(paths.size()));
  }
  TIMBRE_TRY(std::vector<double> weights, Numbers(options.weights));
  TIMBRE_TRY(const WriteOptions write,
             ParseWriteOptions(FormatName(options.format, options.output), options.sample_format, options.clip,
                               options.bitrate, options.temp_dir));
  const ReadOptions read{
      .cancelled = [&observer] { return observer.Cancelled(); },
      .temporary_folder = TemporaryFolderFor(options.temp_dir, fs::path(options.output).parent_path().string(), false)};
  CombineReport report{.output = options.output};
  report.channels = 1;
  for (const std::string& path : paths) {
    TIMBRE_CHECK(CheckNotInput(options.output, path, "choose another --output"));
    TIMBRE_TRY(const std::unique_ptr<AudioReader> reader, AudioReader::Open(path, read));
    if (report.sample_rate == 0) report.sample_rate = reader->info().sample_rate;
    if (reader->info().channels > 1) report.channels = 2;
  }
  std::vector<std::unique_ptr<TrackReader>> readers;
  for (const std::string& path : paths) {
    TIMBRE_TRY(std::unique_ptr<TrackReader> reader, TrackReader::Open(path, report.sample_rate, report.channels, read));
    readers.push_back(std::move(reader));
  }
  Inputs inputs(std::move(readers), report.channels);
  Ensemble::Options how{
      .algorithm = options.algorithm, .inputs = paths.size(), .channels = report.channels, .weights = weights};
  if (options.algorithm == EnsembleAlgorithm::kEnsembleWav) {
    TIMBRE_TRY(how.quietest, Quietest(inputs, paths.size(), report.channels, observer));
  }
  TIMBRE_TRY(Ensemble ensemble, Ensemble::Create(std::move(how)));
  OutputSet outputs;
  TIMBRE_TRY(const std::unique_ptr<AudioWriter> writer,
             AudioWriter::Create(options.output, write, report.sample_rate, report.channels, &outputs));
  Samples done;
  const auto put = [&]() -> Status {
    const int64_t frames = static_cast<int64_t>(done.size()) / report.channels;
    report.samples += frames;
    TIMBRE_CHECK(writer->Write(done.data(), frames));
    done.clear();
    return {};
  };
  TIMBRE_CHECK(inputs.ForEachBlock(observer, [&](const std::vector<const float*>& blocks, int64_t frames) -> Status {
    ensemble.Push(blocks, frames, &done);
    return put();
  }));
  ensemble.Finish(&done);
  TIMBRE_CHECK(put());
  TIMBRE_CHECK(writer->Finish().map([](const WriteReport&) {}));
  TIMBRE_CHECK(outputs.Commit());
  report.seconds = static_cast<double>(report.samples) / report.sample_rate;
  return report;
}

}  // namespace timbre
