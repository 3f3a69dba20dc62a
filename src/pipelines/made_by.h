// What outputs were made by, so that --skip-existing does not take another model's stems, or those of other options,
// for done. A digest of it is kept with each file (base/file_mark.h); where the file system keeps none, what is told by
// length and age has to do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"

namespace timbre {

// A digest of a job's options, but for those that don't change what is written (where to, on what, how fast), and of
// the files that they name: a checkpoint, a configuration, a folder of them, each by its path, size and time of change.
// Empty where no digest can be made.
std::string MadeBy(std::string_view kind, const FieldList& fields);

// What is kept with one output of a run. Empty where `made_by` is.
std::string OutputMark(const std::string& made_by, std::string_view output);

// Whether the file at `path` was made as `mark` says, as far as anyone can know.
bool IsMadeSo(const std::string& path, const std::string& mark);

// Keeps with each file its mark, where that is not empty.
void KeepMarks(const std::vector<std::string>& paths, const std::vector<std::string>& marks);

}  // namespace timbre
