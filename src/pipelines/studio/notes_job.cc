#include <fmt/format.h>

#include "audio/byte_source.h"
#include "base/quantities.h"
#include "pipelines/job_schema.h"
#include "pipelines/studio/notes_video.h"

namespace timbre {
namespace {

class NotesJob final : public Job {
 public:
  FieldList Fields() override {
    FieldList fields = {
        {.name = "midi", .value = &midi_, .help = "a MIDI file of drums", .positional = true, .required = true}};
    return Append(fields, NotesFields(options_));
  }

  Status Run(const JobHost& host, Observer& observer, Json& report) override {
    report["options"] = FieldsToJson(NotesFields(options_));
    if (!host.standard_input && IsStandardInput(options_.audio)) {
      return Fail(ErrorCode::kInvalidArgument, "the sound is the standard input, which this job may not read.");
    }
    BeginProgress(observer, "drawing", options_.output);
    const Result<NotesReport> made = MakeNotesVideo(midi_, options_, observer);
    EndProgress(observer);
    if (!made) return tl::unexpected<Error>(made.error());
    for (const std::string& warning : made->warnings) Warn(observer, warning);
    report["video"] = {{"input", made->input},
                       {"output", made->output},
                       {"width", made->width},
                       {"height", made->height},
                       {"fps", made->fps},
                       {"frames", made->frames},
                       {"seconds", made->seconds},
                       {"notes", made->notes},
                       {"lanes", made->lanes},
                       {"timings", {{"total", made->total}}},
                       {"real_time_factor", made->real_time_factor},
                       {"warnings", made->warnings}};
    Say(observer,
        fmt::format("{}: {} notes, {} of {}x{} at {} frames a second, in {}", made->output, made->notes,
                    DurationText(made->seconds), made->width, made->height, made->fps, DurationText(made->total)));
    return {};
  }

 private:
  std::string midi_;
  NotesOptions options_;
};

}  // namespace

std::unique_ptr<Job> MakeNotesJob() { return std::make_unique<NotesJob>(); }

Json NotesJobReportSchema() {
  NotesOptions options;
  const Json texts = ListSchema(TypeSchema("string"));
  const Json video = ObjectSchema({{"input", "string"},
                                   {"output", "string"},
                                   {"width", "integer"},
                                   {"height", "integer"},
                                   {"fps", "integer"},
                                   {"frames", "integer"},
                                   {"seconds", "number"},
                                   {"notes", "integer"},
                                   {"lanes", texts},
                                   {"timings", ObjectSchema({{"total", "number"}})},
                                   {"real_time_factor", "number"},
                                   {"warnings", texts}});
  return ObjectSchema({{"options", OptionsSchema(NotesFields(options))}, {"video", video}});
}

}  // namespace timbre
