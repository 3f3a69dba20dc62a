#include "pipelines/output_files.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <vector>

#include "audio/byte_source.h"
#include "base/text.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

// An option for formats that lose nothing (or for the others) has no effect with those that do.
std::function<std::string()> IdleUnless(bool lossless, const char* what, const FileFieldValues& values) {
  return [lossless, what, &format = values.format, output = values.output]() -> std::string {
    const std::string name = output == nullptr ? format : FormatName(format, *output);
    const Result<FileFormat> parsed = ParseFileFormat(name);
    if (!parsed || IsLossless(*parsed) == lossless) return "";  // what is no format is refused elsewhere
    return name + " has no " + what;
  };
}

Field FormatField(const FileFieldValues& values) {
  Field field{.name = "format",
              .value = &values.format,
              .help = "of the files written",
              .choices = {"wav", "flac", "mp3", "ogg", "opus", "m4a", "alac"}};
  if (values.output != nullptr) {
    field.help = "auto: by the ending of --output; m4a is AAC unless alac is asked for";
    field.choices.insert(field.choices.begin(), "auto");
  }
  return field;
}

}  // namespace

FieldList FileFields(const FileFieldValues& values) {
  FieldList fields = {FormatField(values),
                      {.name = "sample-format",
                       .value = &values.sample_format,
                       .help = "where the format has a choice",
                       .choices = {"s16", "s24", "f32"},
                       .idle = IdleUnless(true, "choice of it", values)}};
  if (values.clip != nullptr) {
    fields.push_back({.name = "clip",
                      .value = values.clip,
                      .help = "what is done to samples beyond full scale",
                      .choices = {"rescale", "clamp", "none"},
                      .idle = [peak = values.peak] {
                        return peak != nullptr && peak->has_value() ? "--peak says how loud files are" : "";
                      }});
  }
  fields.push_back({.name = "bitrate",
                    .value = &values.bitrate,
                    .help = "kbit/s of mp3, ogg, opus and m4a (default: the format's)",
                    .min = 8,
                    .max = 512,
                    .idle = IdleUnless(false, "bitrate to choose", values)});
  if (values.rate != nullptr) {
    fields.push_back({.name = "rate",
                      .value = values.rate,
                      .help = "samples a second (default: the input's)",
                      .placeholder = "HZ",
                      .min = 1000,
                      .max = 768000});
  }
  if (values.peak != nullptr) {
    fields.push_back({.name = "peak",
                      .value = values.peak,
                      .help = "bring the largest peak of a track's files there, all by one gain; 0 is full scale",
                      .placeholder = "DBFS",
                      .min = -100,
                      .max = 0});
  }
  return fields;
}

Field TempField(std::string& temp_dir) {
  return {.name = "temp",
          .value = &temp_dir,
          .help = "where data lies meanwhile (default: beside the output)",
          .placeholder = "DIR"};
}

Field TagsField(bool& tags) {
  return {.name = "tags", .value = &tags, .help = "do not copy title, artist, cover and the like"};
}

std::string FormatName(const std::string& format, const std::string& output) {
  if (format != "auto") return format;
  const std::string extension = LowerCase(fs::path(output).extension().string());
  return extension.size() < 2 ? "wav" : extension.substr(1);
}

Result<WriteOptions> ParseWriteOptions(const std::string& format, const std::string& sample_format,
                                       const std::string& clip, int bitrate, const std::string& temp_dir) {
  WriteOptions options{.temp_dir = temp_dir, .bitrate = bitrate};
  TIMBRE_TRY(options.format, ParseFileFormat(format));
  TIMBRE_TRY(options.sample_format, ParseSampleFormat(sample_format));
  TIMBRE_TRY(options.clip, ParseClipMode(clip));
  const bool lossless = IsLossless(options.format);
  if (lossless && bitrate != 0) {
    return Fail(ErrorCode::kInvalidArgument, "--bitrate is for lossy formats, and " + format +
                                                 " is not one; leave it out or choose another --format.");
  }
  if (!lossless && options.sample_format != SampleFormat::kS16) {
    return Fail(ErrorCode::kInvalidArgument, "--sample-format is for formats that lose nothing, and " + format +
                                                 " is not one; leave it out or choose another --format.");
  }
  std::error_code error;
  if (!temp_dir.empty() && !fs::is_directory(temp_dir, error)) {
    return Fail(ErrorCode::kInvalidArgument, "--temp '" + temp_dir + "' is no folder.");
  }
  return options;
}

Status CheckOutputRate(const std::string& format, int rate, const std::string& option) {
  TIMBRE_TRY(const FileFormat parsed, ParseFileFormat(format));
  const int nearest = NearestFileRate(parsed, rate);
  if (rate == 0 || nearest == rate) return {};
  return Fail(ErrorCode::kInvalidArgument, option + " " + std::to_string(rate) + ": " + format +
                                               " files are not of that rate; the nearest that they can be of is " +
                                               std::to_string(nearest) + ".");
}

float GainToPeak(float peak, double level) {
  return peak > 0 ? static_cast<float>(std::pow(10.0, level / 20) / peak) : 1.0f;
}

std::string TemporaryFolderFor(const std::string& temp_dir, const std::string& output_dir, bool stream) {
  if (!temp_dir.empty()) return temp_dir;
  return stream ? LargeTemporaryFolder() : NearestFolder(output_dir);
}

Status CheckNotInput(const std::string& output, const std::string& input, const std::string& remedy) {
  std::error_code error;
  if (!fs::equivalent(output, input, error)) return {};
  return Fail(ErrorCode::kInvalidArgument, "'" + Printable(output) + "' would be written over an input; " + remedy);
}

}  // namespace timbre
