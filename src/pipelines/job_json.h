// Jobs as text, and what describes them to programs.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "pipelines/job.h"

namespace timbre {

// {"kind": …, "inputs": […], "options": {…}}; the last two may be missing where nothing in them is needed.
struct ParsedJob {
  const JobKind* kind = nullptr;
  std::unique_ptr<Job> job;  // its options are set
};

// Errors: kInvalidArgument, saying where: text that is no JSON, a member too many, inputs that are missing or too
// many, and all that SetOptions refuses.
Result<ParsedJob> ParseJob(std::string_view text);
Result<ParsedJob> JobFromJson(const Json& json);

// Options of JSON into fields that still hold their defaults: as FieldsFromJson, and one of another value than its
// default that has no effect is an error. Where `asked` is given, members that are not in it are a preset's: those keep
// their defaults instead.
Status SetOptions(const FieldList& options, const Json& json, const Json* asked = nullptr);

// The longest text that ParseJob reads, in bytes.
inline constexpr size_t kLongestJob = size_t{1} << 20;

// What ParseJob takes of a kind, and what its command reports of it, as JSON Schemas (draft 2020-12).
Json JobSchema(const JobKind& kind);
Json ReportSchema(const JobKind& kind);
// {"separate": {"job": …, "report": …}, …} of every kind.
Json AllSchemas();

// The text of a report: printable UTF-8, two blanks a level, a line end at its end. File names may hold bytes that are
// no UTF-8; a report is.
std::string ReportText(const Json& report);

}  // namespace timbre
