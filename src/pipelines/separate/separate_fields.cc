#include "pipelines/separate/separate_fields.h"

#include "pipelines/output_files.h"

namespace timbre {

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
  FieldList files = FileFields({.format = options.format,
                                .sample_format = options.sample_format,
                                .clip = &options.clip,
                                .bitrate = options.bitrate,
                                .rate = &options.rate,
                                .peak = &options.peak});
  fields.push_back(files.front());  // the format
  files.erase(files.begin());
  Append(files, {
                    {.name = "rest",
                     .value = &options.rest,
                     .help = "with --two-stems: the other stems' sum, or the track minus the stem",
                     .choices = {"sum", "minus"},
                     .idle = [&options] { return options.two_stems.empty() ? "--two-stems is not given" : ""; }},
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
  Append(fields, Under("Track", PartFields(options.part)));
  Append(fields, Under("Segments", SegmentFields(options)));
  return Append(fields, Under("Files", std::move(files)));
}

}  // namespace timbre
