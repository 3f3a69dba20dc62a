#include "pipelines/studio/studio_files.h"

#include "base/output_set.h"
#include "pipelines/output_files.h"

namespace timbre {

FieldList StudioFileFields(StudioFiles& files) {
  FieldList fields = {{.name = "output",
                       .value = &files.output_dir,
                       .help = "where the files go",
                       .placeholder = "DIR",
                       .letter = 'o'}};
  Append(fields, FileFields({.format = files.format, .sample_format = files.sample_format, .bitrate = files.bitrate}));
  Append(fields, PartFields(files.part));
  return Append(fields, {
                            {.name = "name",
                             .value = &files.name,
                             .help = "path of a file below DIR, of {folder}, {track} and {ext}",
                             .placeholder = "TEMPLATE"},
                            TagsField(files.tags),
                            TempField(files.temp_dir),
                            {.name = "skip-existing",
                             .value = &files.skip_existing,
                             .help = "leave alone what is there: whole, no older, by the same options"},
                        });
}

Result<WriteOptions> StudioWriteOptions(const StudioFiles& files) {
  return ParseWriteOptions(files.format, files.sample_format, "none", files.bitrate, files.temp_dir);
}

Result<std::string> StudioPath(const StudioFiles& files, const TrackInput& input, const std::string& verb) {
  if (files.stream_out) return kStreamName;
  SeparateOptions naming;
  naming.output_dir = files.output_dir;
  naming.name = files.name;
  naming.format = files.format;
  return OutputPath(naming, verb, input, verb);
}

Result<std::unique_ptr<AudioReader>> OpenStudioInput(const StudioFiles& files, const std::string& input,
                                                     const std::string& output, Observer& observer) {
  if (!files.stream_out) TIMBRE_CHECK(CheckNotInput(output, input));
  TIMBRE_TRY(const AudioPart part, ParsePart(files.part));
  return AudioReader::Open(input,
                           {.cancelled = [&observer] { return observer.Cancelled(); },
                            .temporary_folder = TemporaryFolderFor(files.temp_dir, files.output_dir, files.stream_out),
                            .part = part});
}

Result<std::unique_ptr<AudioWriter>> OpenStudioOutput(const StudioFiles& files, const std::string& output,
                                                      const WriteOptions& write, int sample_rate, int channels,
                                                      OutputSet& outputs, Observer& observer) {
  if (files.stream_out) {
    return AudioWriter::Stream(files.stream_to, output, write, sample_rate, channels,
                               [&observer] { return observer.Cancelled(); });
  }
  return AudioWriter::Create(output, write, sample_rate, channels, &outputs);
}

}  // namespace timbre
