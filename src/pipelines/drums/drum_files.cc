#include "pipelines/drums/drum_files.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>

#include "audio/decode.h"
#include "base/event.h"
#include "base/text.h"

namespace timbre {
namespace {
constexpr int64_t kBlock = 1 << 16;  // frames
}  // namespace

Result<DrumAnalysis> AnalyseDrumFiles(DrumsConfig config, std::span<const DrumStemFile> files, Observer& observer) {
  std::vector<std::unique_ptr<AudioReader>> readers;
  std::vector<std::string> names;
  int64_t expected = 0;
  int rate = 0;
  for (const DrumStemFile& file : files) {
    TIMBRE_TRY(std::unique_ptr<AudioReader> reader, AudioReader::Open(file.path));
    if (rate != 0 && reader->info().sample_rate != rate) {
      return Fail(ErrorCode::kInvalidArgument, "'" + file.path + "' has " + std::to_string(reader->info().sample_rate) +
                                                   " Hz and another stem " + std::to_string(rate) +
                                                   "; stems of one track have one sample rate.");
    }
    rate = reader->info().sample_rate;
    expected = std::max(expected, reader->info().expected_frames);
    readers.push_back(std::move(reader));
    names.push_back(file.name);
  }
  TIMBRE_TRY(DrumAnalyser analyser, DrumAnalyser::Create(std::move(config), names, rate));

  std::vector<std::vector<float>> mono(files.size(), std::vector<float>(kBlock));
  std::vector<float> frames;
  int64_t done = 0;
  while (true) {
    if (observer.Cancelled()) return Fail(ErrorCode::kCancelled, "Cancelled.");
    int64_t longest = 0;
    for (size_t i = 0; i < readers.size(); ++i) {
      const auto channels = static_cast<size_t>(readers[i]->info().channels);
      frames.resize(kBlock * channels);
      int64_t read = 0;
      while (read < kBlock) {
        TIMBRE_TRY(const int64_t more,
                   readers[i]->Read(frames.data() + static_cast<size_t>(read) * channels, kBlock - read));
        if (more == 0) break;
        read += more;
      }
      for (size_t f = 0; f < static_cast<size_t>(kBlock); ++f) {
        float sum = 0;
        for (size_t c = 0; f < static_cast<size_t>(read) && c < channels; ++c) sum += frames[f * channels + c];
        mono[i][f] = sum / static_cast<float>(channels);
      }
      longest = std::max(longest, read);
    }
    if (longest == 0) break;
    std::vector<std::span<const float>> blocks;
    blocks.reserve(mono.size());
    for (const auto& stem : mono) blocks.emplace_back(stem.data(), static_cast<size_t>(longest));
    TIMBRE_CHECK(analyser.Push(blocks));
    done += longest;
    observer.OnProgress({.stage = Stage::kAnalyse,
                         .done = done,
                         .total = expected,
                         .audio_seconds = static_cast<double>(expected) / rate});
  }
  for (size_t i = 0; i < readers.size(); ++i) {
    if (!readers[i]->warning().empty()) Warn(observer, files[i].path + ": " + readers[i]->warning());
  }
  return analyser.Finish();
}

Result<std::vector<DrumStemFile>> FindDrumStems(const DrumsConfig& config, const std::string& folder) {
  namespace fs = std::filesystem;
  std::map<const DrumStemRules*, DrumStemFile> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (!entry->is_regular_file(ignored)) continue;
    const std::string name = LowerCase(entry->path().stem().string());
    const std::string extension = entry->path().extension().string();
    // Reports, MIDI files and pictures may lie beside the stems.
    if (extension.empty() || extension == ".json" || extension == ".mid" || extension == ".png" || extension == ".svg")
      continue;
    const DrumStemRules* rules = config.Find(name);
    if (rules == nullptr) {
      const size_t cut = name.find_last_of("-_. ");
      if (cut != std::string::npos) rules = config.Find(name.substr(cut + 1));
    }
    if (rules == nullptr) continue;
    const auto [at, fresh] = found.try_emplace(rules, DrumStemFile{rules->name, entry->path().string()});
    if (!fresh) {
      return Fail(ErrorCode::kInvalidArgument, "'" + at->second.path + "' and '" + entry->path().string() +
                                                   "' both are the " + rules->name + "; leave one of them.");
    }
  }
  if (error) return Fail(ErrorCode::kIo, "'" + folder + "' cannot be listed: " + error.message() + ".");
  if (found.empty()) {
    return Fail(ErrorCode::kNotFound,
                "There is no stem in '" + folder + "'; files are named after stems, like kick.wav.");
  }
  std::vector<DrumStemFile> files;
  for (const DrumStemRules& rules : config.stems) {  // in the configuration's order
    if (const auto at = found.find(&rules); at != found.end()) files.push_back(at->second);
  }
  return files;
}

}  // namespace timbre
