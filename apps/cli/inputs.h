// Files and folders named on the command line, as a list of files; and what can be checked before anything runs.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace timbre::cli {

// Files stay as they are named; a folder stands for the audio files in it (by extension, sorted; with `recursive` also
// in folders below), without those in `except`, where earlier results lie. Errors: what does not exist, what is neither
// a file nor a folder, an empty file, a folder without audio.
Result<std::vector<std::string>> ExpandInputs(const std::vector<std::string>& inputs, bool recursive,
                                              const std::string& except);

// Whether `folder` is a folder that can be written to, or could be made. Makes nothing.
Status CheckOutputFolder(const std::string& folder);

// Files that a command is going to write, each by whom: none twice, and none of the inputs.
class OutputPlan {
 public:
  explicit OutputPlan(const std::vector<std::string>& inputs);
  // `input` gives the file `path`.
  Status Add(const std::string& path, const std::string& input);

 private:
  std::set<std::string> inputs_;                // normalised
  std::map<std::string, std::string> planned_;  // normalised path, by which input
};

}  // namespace timbre::cli
