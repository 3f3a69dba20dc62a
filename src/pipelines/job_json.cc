#include "pipelines/job_json.h"

#include <algorithm>
#include <array>
#include <variant>
#include <vector>

#include "base/text.h"
#include "pipelines/job_presets.h"
#include "pipelines/job_schema.h"

namespace timbre {
namespace {

constexpr char kDraft[] = "https://json-schema.org/draft/2020-12/schema";

bool IsList(const Field& field) { return std::holds_alternative<std::vector<std::string>*>(field.value); }

FieldList Choose(const FieldList& fields, bool positional) {
  FieldList chosen;
  std::copy_if(fields.begin(), fields.end(), std::back_inserter(chosen),
               [&](const Field& field) { return field.positional == positional; });
  return chosen;
}

Status SetInputs(const FieldList& fields, const Json& json) {
  if (!json.is_array()) return Fail(ErrorCode::kInvalidArgument, "'inputs' takes a list of texts");
  std::vector<std::string> words;
  for (const Json& item : json) {
    if (!item.is_string()) return Fail(ErrorCode::kInvalidArgument, "'inputs' takes a list of texts");
    words.push_back(item.get<std::string>());
  }
  size_t used = 0;
  for (const Field& field : fields) {
    const size_t count = IsList(field) ? words.size() - used : std::min<size_t>(1, words.size() - used);
    if (count == 0 && field.required) {
      return Fail(ErrorCode::kInvalidArgument, "'inputs' lacks the " + field.name + ": " + field.help);
    }
    TIMBRE_CHECK(SetField(field, std::span(words).subspan(used, count)));
    used += count;
  }
  if (used == words.size()) return {};
  return Fail(ErrorCode::kInvalidArgument, "'" + Printable(words[used]) + "' in 'inputs' is one too many");
}

}  // namespace

Result<ParsedJob> ParseJob(std::string_view text) {
  if (text.size() > kLongestJob) {
    return Fail(ErrorCode::kInvalidArgument,
                "a job has at most " + std::to_string(kLongestJob) + " bytes, and this " + std::to_string(text.size()));
  }
  try {
    return JobFromJson(Json::parse(text));
  } catch (const Json::parse_error& error) {
    return Fail(ErrorCode::kInvalidArgument, "the job is no JSON: " + Printable(error.what(), 200));
  }
}

Result<ParsedJob> JobFromJson(const Json& json) {
  if (!json.is_object())
    return Fail(ErrorCode::kInvalidArgument, "a job is an object with 'kind', 'inputs', 'options'");
  constexpr std::array<std::string_view, 3> kMembers = {"kind", "inputs", "options"};
  for (const auto& [key, value] : json.items()) {
    if (std::find(kMembers.begin(), kMembers.end(), key) == kMembers.end()) {
      return Fail(ErrorCode::kInvalidArgument,
                  "a job has 'kind', 'inputs' and 'options', and no '" + Printable(key) + "'");
    }
  }
  const auto kind = json.find("kind");
  if (kind == json.end() || !kind->is_string()) {
    return Fail(ErrorCode::kInvalidArgument, "a job's 'kind' is missing, or no text");
  }
  ParsedJob parsed;
  auto found = FindJobKind(kind->get_ref<const std::string&>());
  if (!found) return Fail(ErrorCode::kInvalidArgument, found.error().message);
  parsed.kind = *found;
  parsed.job = parsed.kind->make();
  const FieldList all = parsed.job->Fields(), inputs = Choose(all, true), options = Choose(all, false);
  // The inputs first: whether an option has an effect may depend on them.
  TIMBRE_CHECK(SetInputs(inputs, json.value("inputs", Json::array())));
  const Json asked = json.value("options", Json::object());
  TIMBRE_TRY(const Json given, WithPreset(parsed.kind->name, asked));
  if (auto set = SetOptions(options, given, &asked); !set) return Prefix(set.error(), "the job's options");
  return parsed;
}

Status SetOptions(const FieldList& options, const Json& json, const Json* asked) {
  const Json before = FieldsToJson(options);
  std::vector<KeptValue> kept;  // of what a preset may give
  for (const Field& field : options) {
    const auto own = asked != nullptr ? asked->find(KeyOf(field)) : Json::const_iterator();
    if (asked != nullptr && (own == asked->end() || own->is_null())) kept.push_back(KeepValue(field));
  }
  TIMBRE_CHECK(FieldsFromJson(options, json));
  RestoreIdle(std::move(kept));
  for (const Field& field : options) {
    if (FieldsToJson({field}).at(KeyOf(field)) == before.at(KeyOf(field))) continue;
    if (const std::string why = WhyIdle(field); !why.empty()) {
      return Fail(ErrorCode::kInvalidArgument, "'" + KeyOf(field) + "' has no effect: " + why);
    }
  }
  return {};
}

Json JobSchema(const JobKind& kind) {
  const std::unique_ptr<Job> job = kind.make();
  const FieldList all = job->Fields(), inputs = Choose(all, true);
  Json list = {{"type", "array"}};
  Json leading = Json::array();
  size_t least = 0;
  bool open = false;
  for (const Field& field : inputs) {
    Json item = {{"title", field.name}, {"description", field.help}, {"type", "string"}};
    if (!field.choices.empty()) item["enum"] = field.choices;
    least += field.required ? 1 : 0;
    if (IsList(field)) {
      list["items"] = std::move(item);
      open = true;
    } else {
      leading.push_back(std::move(item));
    }
  }
  if (!open) list["items"] = false;
  if (!leading.empty()) list["prefixItems"] = std::move(leading);
  if (least > 0) list["minItems"] = least;
  Json options = FieldsSchema(Choose(all, false));
  Json required = {"kind"};
  if (least > 0) required.push_back("inputs");
  if (options.contains("required")) required.push_back("options");
  return {{"$schema", kDraft},
          {"title", kind.name},
          {"description", kind.summary},
          {"type", "object"},
          {"properties", {{"kind", {{"const", kind.name}}}, {"inputs", list}, {"options", options}}},
          {"required", required},
          {"additionalProperties", false}};
}

Json ReportSchema(const JobKind& kind) {
  Json schema = kind.report_schema();
  Json properties = {{"version", TypeSchema("string")}, {"command", {{"const", kind.command}}}};
  properties.update(schema["properties"]);
  properties["error"] = ObjectSchema({{"kind", "string"}, {"message", "string"}});
  // A job that failed reports as far as it got; where nothing was left to do, nothing was opened to tell of.
  Json ways = {Json{{"required", {"error"}}}, Json{{"required", schema["required"]}}};
  if (properties.contains("tracks")) {
    ways.push_back({{"properties", {{"tracks", {{"const", Json::array()}}}}}, {"required", {"tracks"}}});
  }
  return {{"$schema", kDraft},
          {"title", kind.name},
          {"type", "object"},
          {"properties", properties},
          {"required", {"version", "command"}},
          {"anyOf", ways},
          {"additionalProperties", false}};
}

Json AllSchemas() {
  Json schemas = Json::object();
  for (const JobKind& kind : JobKinds()) {
    schemas[std::string(kind.name)] = {{"job", JobSchema(kind)}, {"report", ReportSchema(kind)}};
  }
  return schemas;
}

std::string ReportText(const Json& report) {
  return PrintableJson(report.dump(2, ' ', false, Json::error_handler_t::replace)) + "\n";
}

}  // namespace timbre
