// What a job over tracks would do and take, said before anything is computed or written: --dry-run.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "audio/decode.h"
#include "audio/encode.h"
#include "base/observer.h"
#include "pipelines/job.h"
#include "pipelines/separate/separate.h"

namespace timbre {

Field DryRunField(bool& dry_run);

// kNotFound where `name` is a model of the catalogue that would have to be fetched: a dry run fetches nothing.
Status CheckModelIsHere(const std::string& name);

// Seconds that one tile takes, measured on a segment of silence; none where only files can be separated.
Result<std::optional<double>> SecondsPerTile(Separator& separator, Observer& observer);

struct DryTrack {
  std::string input;
  std::vector<std::string> outputs;
  std::string refused;   // why it would not be done; empty: it would
  bool skipped = false;  // it would be left alone, its outputs being there, as --skip-existing understands it
  // By the input's header, of the part that is computed; none where it does not say, or is a pipe that could be read
  // but once.
  std::optional<AudioInfo> info = {};
  std::optional<double> seconds = {};  // to compute it
};

class DryRun {
 public:
  // Outputs go to `folder`, or down a pipe, what is there only meanwhile to `temporary`. `files` of the outputs are
  // sound, kept or only there meanwhile.
  struct Sound {
    std::string folder, temporary;
    WriteOptions write;
    int rate = 0;  // 0: the track's
    int most_channels = 8;
    size_t files = 0;
    bool kept = true, piped = false;
    size_t stems_between = 0;  // Separator::stems_between()
  };
  explicit DryRun(Sound sound) : sound_(std::move(sound)) {}

  // Reads the header of `part`, and estimates what `separator` takes for it at so many seconds a tile. A file that
  // cannot be read is refused.
  Status Add(DryTrack track, const AudioPart& part, const Separator& separator, std::optional<double> per_tile);
  // The same with seconds that a second of sound takes, which `pace` says of a rate and a number of channels.
  Status Add(DryTrack track, const AudioPart& part, const std::function<Result<double>(int rate, int channels)>& pace);
  // Says it, and adds "plan" to the report. Fails where a track would not be done.
  Status Tell(Observer& observer, Json& report) const;

 private:
  static void ReadHeader(DryTrack& track, const AudioPart& part);
  struct Bytes {
    double kept = 0, meanwhile = 0;
  };
  Bytes BytesOf(const AudioInfo& info) const;

  Sound sound_;
  std::vector<DryTrack> tracks_;
};

Json DryRunSchema();

}  // namespace timbre
