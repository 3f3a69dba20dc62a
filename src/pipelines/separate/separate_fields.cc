#include "pipelines/separate/separate_fields.h"

#include <algorithm>

namespace timbre {

FieldList FileFields(std::string& format, std::string& sample_format, std::string& clip, int& bitrate) {
  const auto unless = [&format](std::vector<std::string> formats, const char* what) {
    return [&format, formats = std::move(formats), what]() -> std::string {
      if (std::find(formats.begin(), formats.end(), format) != formats.end()) return "";
      return "files of --format " + format + " have no " + what;
    };
  };
  return {
      {.name = "format",
       .value = &format,
       .help = "of the files written",
       .choices = {"wav", "flac", "mp3", "ogg", "opus", "m4a", "alac"}},
      {.name = "sample-format",
       .value = &sample_format,
       .help = "where the format has a choice",
       .choices = {"s16", "s24", "f32"},
       .idle = unless({"wav", "flac"}, "choice of it")},
      {.name = "clip",
       .value = &clip,
       .help = "what is done to samples beyond full scale",
       .choices = {"rescale", "clamp", "none"}},
      {.name = "bitrate",
       .value = &bitrate,
       .help = "kbit/s of mp3, ogg, opus and m4a (default: the format's)",
       .min = 8,
       .max = 512,
       .idle = unless({"mp3", "ogg", "opus"}, "bitrate to choose")},
  };
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

namespace {

// How the track is cut into segments and computed.
FieldList SegmentFields(SeparateOptions& options) {
  return {
      {.name = "segment",
       .value = &options.segment,
       .help = "seconds computed at once (default: the model's)",
       .placeholder = "S",
       .min = 0.1,
       .max = 600},
      {.name = "overlap",
       .value = &options.overlap,
       .help = "of neighbouring segments, as a fraction (default: the model's)",
       .placeholder = "F",
       .min = 0,
       .max = 0.99},
      {.name = "shifts",
       .value = &options.shifts,
       .help = "average over N random shifts in time",
       .min = 0,
       .max = 100},
      {.name = "seed",
       .value = &options.seed,
       .help = "of the random shifts",
       .idle = [&options] { return options.shifts > 0 ? "" : "nothing is shifted without --shifts"; }},
      {.name = "transition-power",
       .value = &options.transition_power,
       .help = "sharpness of the cross-fade between segments",
       .placeholder = "P",
       .min = 1,
       .max = 100},
      {.name = "tta",
       .value = &options.tta,
       .help = "average over the channels exchanged and the polarity inverted besides: three times the work"},
      {.name = "pipeline",
       .value = &options.pipeline,
       .help = "whose rules cut the track: the trainer's program's, or UVR's, where the model knows both",
       .choices = {"own", "msst", "uvr"}},
      {.name = "normalise",
       .value = &options.normalise,
       .help = "do not bring the track to zero mean and unit deviation first"},
      {.name = "batch",
       .value = &options.batch,
       .help = "segments computed together; 0: as many as a GPU has memory for",
       .min = 0,
       .max = 256},
  };
}

}  // namespace

FieldList SeparateFields(SeparateOptions& options) {
  FieldList fields = {
      {.name = "output",
       .value = &options.output_dir,
       .help = "where the stems go",
       .placeholder = "DIR",
       .letter = 'o'},
      {.name = "stems", .value = &options.stems, .help = "only these (default: all)", .placeholder = "A,B"},
      {.name = "two-stems",
       .value = &options.two_stems,
       .help = "this stem, and the rest as one",
       .placeholder = "NAME"},
  };
  FieldList files = FileFields(options.format, options.sample_format, options.clip, options.bitrate);
  fields.push_back(files.front());  // the format
  files.erase(files.begin());
  Append(files, {
                    {.name = "name",
                     .value = &options.name,
                     .help = "path of a stem below DIR, of {folder}, {track}, {stem}, {model} and {ext}",
                     .placeholder = "TEMPLATE"},
                    TagsField(options.tags),
                    TempField(options.temp_dir),
                });
  Append(fields, {{.name = "skip-existing",
                   .value = &options.skip_existing,
                   .help = "leave alone what is there: whole, no older, by the same model and options"}});
  Append(fields, Under("Segments", SegmentFields(options)));
  return Append(fields, Under("Files", std::move(files)));
}

}  // namespace timbre
