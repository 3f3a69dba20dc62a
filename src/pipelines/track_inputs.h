// Files and folders named on the command line, as a list of files; and what can be checked before anything runs.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "pipelines/separate/separate.h"

namespace timbre {

// Files stay as they are named; a folder stands for the audio files in it (by extension, sorted; with `recursive` also
// in folders below), without those in `except`, where earlier results lie. "-" (the standard input) and FIFOs stay too.
// A file that is reached twice, by whatever names, is there once. Errors: what does not exist, what is neither a file
// nor a folder, an empty file, a folder without audio, the standard input twice.
Result<std::vector<TrackInput>> ExpandInputs(const std::vector<std::string>& inputs, bool recursive,
                                             const std::string& except);

// `name`, or where it still is `usual` and tracks are looked for in folders of folders, that with their tree: with
// "{folder}/" in front of {track}.
std::string NameFor(const std::string& name, const std::string& usual, bool recursive);

// Whether `folder` is a folder that can be written to, or could be made. Makes nothing.
Status CheckOutputFolder(const std::string& folder);

// Files that a command is going to write, each by whom: none twice, and none of the inputs.
class OutputPlan {
 public:
  explicit OutputPlan(const std::vector<TrackInput>& inputs);
  // `input` gives the files `paths`. The value is why it must not be done, as a sentence, or empty; then nothing of it
  // is planned. Fails with kInvalidArgument where two of the paths are one.
  Result<std::string> Add(const std::vector<std::string>& paths, const std::string& input);

 private:
  std::set<std::string> inputs_;                // normalised
  std::map<std::string, std::string> planned_;  // normalised path, by which input
};

}  // namespace timbre
