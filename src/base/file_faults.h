// Faults of the file system on purpose: fail step 0, 1, 2 … of a run in turn, and see that it still ends well.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace timbre {

// What is asked of the file system on the way to an output.
enum class FileStep : uint8_t { kFolder, kCreate, kWrite, kSync, kClose, kLink, kRename };

// Told each step before it is taken, on whatever thread takes it: an errno makes it fail, 0 lets it happen.
using FileFault = std::function<int(FileStep step, const std::string& path)>;

// Has every later step of this process ask `fault`; an empty one ends that. Not while files are being written.
void SetFileFault(FileFault fault);

// Whether the step is to fail; `errno` is set then.
bool FileStepFails(FileStep step, const std::string& path);

}  // namespace timbre
