// How files of sound are written: the options that every job shares which writes some, and what they mean.
#pragma once

#include <optional>
#include <string>

#include "audio/encode.h"
#include "base/fields.h"
#include "base/result.h"

namespace timbre {

// Where the options lie that FileFields() lists. All must outlive the fields.
struct FileFieldValues {
  std::string& format;
  std::string& sample_format;
  std::string* clip = nullptr;  // null: there is no choice of it
  int& bitrate;
  int* rate = nullptr;                    // null: there is no choice of it
  std::optional<double>* peak = nullptr;  // likewise
  const std::string* output = nullptr;    // the one file whose extension says the format where that is "auto"
};

// --format, --sample-format, --clip, --bitrate, --rate and --peak.
FieldList FileFields(const FileFieldValues& values);

// A folder for what lies on disk only meanwhile.
Field TempField(std::string& temp_dir);

// Whether tags are copied.
Field TagsField(bool& tags);

// The format's name: `format`, or where that is "auto", the extension of `output` in lower case; "wav" where there is
// none. It need not be the name of one.
std::string FormatName(const std::string& format, const std::string& output);

// What files are written as. kInvalidArgument where a name is none, or the format has no use for an option.
Result<WriteOptions> ParseWriteOptions(const std::string& format, const std::string& sample_format,
                                       const std::string& clip, int bitrate, const std::string& temp_dir);

// kInvalidArgument where files of `format` cannot be of `rate`, which `option` asks for; 0 is the input's own.
Status CheckOutputRate(const std::string& format, int rate, const std::string& option = "--rate");

// What brings `peak`, the largest magnitude of all files of one piece of work, to `level` dBFS; 1 for silence.
float GainToPeak(float peak, double level);

// Where what a pipe gives is kept meanwhile, of a task that writes to `output_dir` or into a stream.
std::string TemporaryFolderFor(const std::string& temp_dir, const std::string& output_dir, bool stream);

// kInvalidArgument where `output` is the file `input`, by whatever names. `remedy` ends the sentence.
Status CheckNotInput(const std::string& output, const std::string& input,
                     const std::string& remedy = "change --output or --name");

}  // namespace timbre
