// What a separation writes: which stems, under which names, and how samples of a model become a file's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "audio/encode.h"
#include "audio/resample.h"
#include "base/output_set.h"
#include "base/temporary_file.h"
#include "pipelines/separate/separate.h"

namespace timbre {

// A file to write: a stem, the sum of several, or the track minus some.
struct OutputChoice {
  std::string name;
  std::vector<bool> stems;  // those that it is the sum of, or lacks
  bool minus = false;
};

// The outputs that the options ask for of a model's stems. kCorrupt where a stem's name is none for a file,
// kInvalidArgument and kNotFound where the options make no sense with them.
Result<std::vector<OutputChoice>> ChooseOutputs(const std::vector<std::string>& stems, const SeparateOptions& options);

// Where the outputs of a track go, and whether there is nothing left to do for them.
struct OutputPlaces {
  std::vector<std::string> paths, marks;  // one of each output; marks: OutputMark()
  bool done = false;                      // as --skip-existing understands it
};

// `model` and `outputs` are their names. kInvalidArgument where one would be written over the input, or two into one
// file.
Result<OutputPlaces> PlacesOf(const SeparateOptions& options, const std::string& model,
                              const std::vector<std::string>& outputs, const TrackInput& input);

// A folder for stems that one model leaves to what comes after it. The folders that had to be made for it go with it,
// unless something else came to lie in them.
struct StemFolder {
  std::unique_ptr<OutputSet> made;
  std::optional<TemporaryFolder> folder;  // none where only samples in memory are separated
  std::string path() const { return folder ? folder->path() : ""; }
};

// Beside the outputs, or in `options.temp_dir`.
Result<StemFolder> MakeStemFolder(const SeparateOptions& options);

// An output on its way into its file, or a stream: back to the track's own channels and rate.
class StemFile {
 public:
  // Into `writer`, of `rate` and `channels`.
  static Result<std::unique_ptr<StemFile>> Create(std::unique_ptr<AudioWriter> writer, int model_rate,
                                                  int model_channels, int rate, int channels);

  // The features [first, first + model channels) of samples [frames, width], times `scale`, plus `offset`.
  Status Write(const float* samples, int64_t frames, size_t width, size_t first, float scale, float offset);
  // `frames`: of the whole file.
  Status End(int64_t frames);
  float peak() const { return writer_->peak(); }
  Result<WriteReport> Finish(std::optional<float> gain) { return writer_->Finish(gain); }

 private:
  StemFile(Resampler resampler, std::unique_ptr<AudioWriter> writer, int model_channels, int channels)
      : resampler_(std::move(resampler)),
        writer_(std::move(writer)),
        model_channels_(model_channels),
        channels_(channels) {}
  Status Flush() { return writer_->Write(resampled_.data(), static_cast<int64_t>(resampled_.size()) / channels_); }

  Resampler resampler_;
  std::unique_ptr<AudioWriter> writer_;
  const int model_channels_, channels_;
  std::vector<float> chunk_, resampled_;
};

}  // namespace timbre
