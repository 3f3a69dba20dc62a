#include "pipelines/separate/separate_outputs.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <filesystem>

#include "audio/byte_source.h"
#include "audio/decode.h"
#include "audio/mix.h"
#include "base/files.h"
#include "base/suggest.h"
#include "base/temporary_file.h"
#include "base/text.h"
#include "pipelines/made_by.h"
#include "pipelines/output_files.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDoneBlock = 1 << 16;  // frames

// Names from checkpoints become names of files.
Status CheckStemNames(const std::vector<std::string>& stems) {
  for (size_t i = 0; i < stems.size(); ++i) {
    const std::string& stem = stems[i];
    const bool plain = !stem.empty() && stem.size() <= 64 && stem[0] != '.' && stem.find('/') == std::string::npos &&
                       stem == Printable(stem);
    if (plain && std::count(stems.begin(), stems.end(), stem) > 1) {
      return Fail(ErrorCode::kCorrupt,
                  "the model names the stem '" + stem + "' twice; correct its configuration, where it has one");
    }
    if (!plain) {
      return Fail(ErrorCode::kCorrupt, "the model has a stem '" + Printable(stem) + "', which is no name for a file");
    }
  }
  return {};
}

Result<size_t> FindStem(const std::vector<std::string>& stems, const std::string& name) {
  const auto found = std::find(stems.begin(), stems.end(), name);
  if (found != stems.end()) return static_cast<size_t>(found - stems.begin());
  return Fail(ErrorCode::kNotFound, "the model has no stem '" + Printable(name) + "'." + SuggestionFor(name, stems));
}

Result<std::vector<OutputChoice>> ChooseFiles(const std::vector<std::string>& stems, const SeparateOptions& options) {
  TIMBRE_CHECK(CheckStemNames(stems));
  std::vector<OutputChoice> outputs;
  if (!options.two_stems.empty()) {
    if (!options.stems.empty()) {
      return Fail(ErrorCode::kInvalidArgument, "--stems and --two-stems exclude each other");
    }
    TIMBRE_TRY(const size_t chosen, FindStem(stems, options.two_stems));
    const bool minus = options.rest == "minus";
    if (!minus && stems.size() == 1) {
      return Fail(ErrorCode::kInvalidArgument,
                  "the model gives no stem but '" + stems[chosen] +
                      "' whose sum the rest could be; --rest minus takes it from the track");
    }
    OutputChoice one{.name = stems[chosen], .stems = std::vector<bool>(stems.size(), false)};
    OutputChoice rest{.name = "no_" + stems[chosen], .stems = std::vector<bool>(stems.size(), !minus), .minus = minus};
    one.stems[chosen] = true;
    rest.stems[chosen] = minus;
    return std::vector<OutputChoice>{one, rest};
  }
  for (const std::string& name : options.stems) TIMBRE_CHECK(FindStem(stems, name));
  for (size_t s = 0; s < stems.size(); ++s) {
    const auto& wanted = options.stems;
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), stems[s]) == wanted.end()) continue;
    OutputChoice output{.name = stems[s], .stems = std::vector<bool>(stems.size(), false)};
    output.stems[s] = true;
    outputs.push_back(std::move(output));
  }
  return outputs;
}

}  // namespace

Result<std::vector<OutputChoice>> ChooseOutputs(const std::vector<std::string>& stems, const SeparateOptions& options) {
  TIMBRE_TRY(std::vector<OutputChoice> outputs, ChooseFiles(stems, options));
  if (options.stream.empty()) return outputs;
  std::vector<std::string> names;
  names.reserve(outputs.size());
  for (const OutputChoice& output : outputs) names.push_back(output.name);
  TIMBRE_TRY(const size_t chosen, FindStem(names, options.stream));
  return std::vector<OutputChoice>{outputs[chosen]};
}

Result<StemFolder> MakeStemFolder(const SeparateOptions& options) {
  StemFolder made;
  if (options.output_dir.empty()) return made;
  const std::string beside = !options.temp_dir.empty() ? options.temp_dir
                             : options.stream.empty()  ? options.output_dir
                                                       : LargeTemporaryFolder();
  made.made = std::make_unique<OutputSet>();
  TIMBRE_CHECK(made.made->MakeFolderOf(beside + "/"));
  TIMBRE_TRY(made.folder, TemporaryFolder::Create(beside));
  return made;
}

Result<std::unique_ptr<StemFile>> StemFile::Create(std::unique_ptr<AudioWriter> writer, int model_rate,
                                                   int model_channels, int rate, int channels) {
  TIMBRE_TRY(Resampler resampler, Resampler::Create(model_rate, rate, channels));
  return std::unique_ptr<StemFile>(new StemFile(std::move(resampler), std::move(writer), model_channels, channels));
}

Status StemFile::Write(const float* samples, int64_t frames, size_t width, size_t first, float scale, float offset) {
  constexpr int64_t kChunk = 16384;
  for (int64_t begin = 0; begin < frames; begin += kChunk) {
    const int64_t count = std::min(kChunk, frames - begin);
    chunk_.resize(count * model_channels_);
    for (int64_t i = 0; i < count; ++i) {
      for (int c = 0; c < model_channels_; ++c) {
        chunk_[i * model_channels_ + c] = samples[(begin + i) * width + first + c] * scale + offset;
      }
    }
    if (model_channels_ == 2 && channels_ == 1) FoldToMono(chunk_.data(), count, chunk_.data());
    resampled_.clear();
    TIMBRE_CHECK(resampler_.Push(chunk_.data(), count, &resampled_));
    TIMBRE_CHECK(Flush());
  }
  return {};
}

Status StemFile::End(int64_t frames) {
  resampled_.clear();
  TIMBRE_CHECK(resampler_.Finish(&resampled_, frames));
  return Flush();
}

Result<std::string> OutputPath(const SeparateOptions& options, const std::string& model, const TrackInput& input,
                               const std::string& stem) {
  TIMBRE_TRY(const FileFormat format, ParseFileFormat(options.format));
  const std::pair<std::string_view, std::string> fields[] = {
      {"folder", input.folder},
      {"track", IsStandardInput(input.path) ? "stdin" : fs::path(input.path).stem().string()},
      {"stem", stem},
      {"model", model},
      {"ext", std::string(FileExtension(format))}};
  const auto bad = [&](const std::string& why) {
    return Fail(ErrorCode::kInvalidArgument, "--name '" + Printable(options.name) + "' " + why);
  };
  std::string name;
  for (size_t i = 0; i < options.name.size();) {
    if (options.name[i] != '{') {
      name += options.name[i++];
      continue;
    }
    const size_t end = options.name.find('}', i);
    const std::string field = options.name.substr(i + 1, end == std::string::npos ? end : end - i - 1);
    const auto found =
        std::find_if(std::begin(fields), std::end(fields), [&](const auto& f) { return f.first == field; });
    if (end == std::string::npos || found == std::end(fields)) {
      return Fail(ErrorCode::kInvalidArgument, "--name holds '{" + Printable(field) +
                                                   (end == std::string::npos ? "" : "}") +
                                                   "'; it can hold {folder}, {track}, {stem}, {model} and {ext}");
    }
    // A file called "...wav" must not lead out of the folder.
    name += found->second == "." || found->second == ".." ? "_" : found->second;
    i = end + 1;
    // A track that lies in no folder below the one named has none in its outputs' paths either.
    if (found->second.empty() && (name.empty() || name.back() == '/') && i < options.name.size() &&
        options.name[i] == '/') {
      ++i;
    }
  }
  if (name.empty() || name.back() == '/') return bad("gives no name for a file");
  if (name.front() == '/') return bad("leaves the output folder; --output chooses another one");
  const fs::path path = fs::path(options.output_dir) / name;
  for (const fs::path& part : fs::path(name)) {
    if (part == "..") return bad("leaves the output folder; --output chooses another one");
    if (part.native().size() <= NAME_MAX && path.native().size() < PATH_MAX) continue;
    return Fail(ErrorCode::kUnsupported,
                "'" + Printable(path.string()) + "' would be too long a name for a file; choose a shorter --name");
  }
  return path.string();
}

Result<OutputPlaces> PlacesOf(const SeparateOptions& options, const std::string& model,
                              const std::vector<std::string>& outputs, const TrackInput& input) {
  OutputPlaces places;
  for (const std::string& output : outputs) {
    places.marks.push_back(OutputMark(options.made_by, output));
    if (!options.stream.empty()) {
      places.paths.emplace_back(kStreamName);
      continue;
    }
    TIMBRE_TRY(std::string path, OutputPath(options, model, input, output));
    TIMBRE_CHECK(CheckNotInput(path, input.path));
    if (std::find(places.paths.begin(), places.paths.end(), path) != places.paths.end()) {
      return Fail(ErrorCode::kInvalidArgument, "two stems would be written to '" + path + "'; --name needs a {stem}");
    }
    places.paths.push_back(std::move(path));
  }
  TIMBRE_TRY(const AudioPart part, ParsePart(options.part));
  places.done = options.stream.empty() && options.skip_existing && IsDone(input.path, part, places.paths, places.marks);
  return places;
}

bool IsDone(const std::string& input, const AudioPart& part, const std::vector<std::string>& paths,
            const std::vector<std::string>& marks) {
  if (IsStandardInput(input) || FileBytes(input) <= 0) return false;  // a pipe can be read but once
  for (size_t i = 0; i < paths.size(); ++i) {
    if (!IsMadeSo(paths[i], marks[i])) return false;
  }
  std::error_code error;
  const auto made = fs::last_write_time(input, error);
  for (const std::string& path : paths) {
    if (error || FileBytes(path) <= 0 || fs::last_write_time(path, error) < made || error) return false;
  }
  const auto seconds = [](const std::string& path, const AudioPart& wanted, int* rate, int64_t* frames) {
    const auto reader = AudioReader::Open(path, {.part = wanted});
    if (!reader) return false;
    *rate = (*reader)->info().sample_rate;
    std::vector<float> block(static_cast<size_t>(kDoneBlock) * (*reader)->info().channels);
    while (true) {
      const Result<int64_t> got = (*reader)->Read(block.data(), kDoneBlock);
      if (!got || *got == 0) break;
    }
    *frames = (*reader)->position();
    return true;
  };
  int rate = 0, own_rate = 0;
  int64_t frames = 0, own_frames = 0;
  if (!seconds(input, part, &rate, &frames)) return false;
  return std::all_of(paths.begin(), paths.end(), [&](const std::string& path) {
    if (!seconds(path, {}, &own_rate, &own_frames) || own_rate <= 0) return false;
    // Some formats are at rates of their own.
    return own_frames == static_cast<int64_t>(std::floor(static_cast<double>(frames) * own_rate / rate + 0.5));
  });
}

}  // namespace timbre
