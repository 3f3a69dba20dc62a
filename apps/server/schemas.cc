#include "apps/server/schemas.h"

#include <algorithm>

#include "apps/server/drum_project.h"
#include "apps/server/kinds.h"
#include "apps/server/timeline_operations.h"
#include "pipelines/job_schema.h"

namespace timbre::server {
namespace {

Json Reference(const std::string& name) { return {{"$ref", "#/components/schemas/" + name}}; }

Json AnyObject() { return {{"type", "object"}}; }

Json OrNull(Json schema) { return {{"anyOf", Json::array({std::move(schema), TypeSchema("null")})}}; }

// A schema that stands within another names no draft of its own.
Json Inner(Json schema) {
  schema.erase("$schema");
  return schema;
}

}  // namespace

Json Schemas() {
  Json schemas = Json::object();
  schemas["Problem"] = {{"type", "object"},
                        {"properties",
                         {{"type", TypeSchema("string")},
                          {"title", TypeSchema("string")},
                          {"status", TypeSchema("integer")},
                          {"detail", TypeSchema("string")},
                          {"errors", ListSchema(ObjectSchema({{"pointer", "string"}, {"message", "string"}}))}}},
                        {"required", {"type", "detail"}}};
  schemas["Asset"] = ObjectSchema({{"id", "string"},
                                   {"name", "string"},
                                   {"bytes", "integer"},
                                   {"media_type", "string"},
                                   {"facts", AnyObject()},
                                   {"created", "string"},
                                   {"links", AnyObject()}});
  schemas["Assets"] = ObjectSchema({{"assets", ListSchema(Reference("Asset"))}});
  schemas["NewAssets"] = {{"anyOf", Json::array({Reference("Asset"), Reference("Assets")})}};
  schemas["Peaks"] = ObjectSchema(
      {{"sample_rate", "integer"},
       {"channels", "integer"},
       {"frames", "integer"},
       {"levels",
        ListSchema(ObjectSchema(
            {{"level", "integer"}, {"frames_per_bin", "integer"}, {"bins", "integer"}, {"link", "string"}}))}});
  Json kinds = Json::array();
  Json options = Json::array();
  for (const JobKind* kind : ServedKinds()) {
    kinds.push_back(kind->name);
    const std::string name = "OptionsOf_" + std::string(kind->name);
    schemas[name] = Inner(OptionsSchemaOf(*kind));
    options.push_back(Reference(name));
  }
  const Json input = {
      {"anyOf", Json::array({TypeSchema("string"),
                             Json{{"type", "object"},
                                  {"properties", {{"asset", TypeSchema("string")}, {"name", TypeSchema("string")}}},
                                  {"required", {"asset"}},
                                  {"additionalProperties", false}}})}};
  schemas["JobRequest"] = {{"type", "object"},
                           {"properties",
                            {{"kind", {{"type", "string"}, {"enum", kinds}}},
                             {"inputs", {{"type", "array"}, {"items", input}, {"maxItems", 1000}}},
                             {"options", {{"anyOf", options}}},
                             {"project", TypeSchema("string")},
                             {"priority", {{"type", "string"}, {"enum", {"low", "normal", "high"}}}},
                             {"device", TypeSchema("string")}}},
                           {"required", {"kind"}},
                           {"additionalProperties", false}};
  schemas["JobChange"] = {{"type", "object"},
                          {"properties",
                           {{"priority", {{"type", "string"}, {"enum", {"low", "normal", "high"}}}},
                            {"front", {{"const", true}}},
                            {"paused", TypeSchema("boolean")}}},
                          {"additionalProperties", false}};
  schemas["Output"] = ObjectSchema(
      {{"name", "string"}, {"asset", "string"}, {"bytes", "integer"}, {"media_type", "string"}, {"link", "string"}});
  schemas["Job"] =
      ObjectSchema({{"id", "string"},
                    {"kind", "string"},
                    {"state", Json{{"type", "string"},
                                   {"enum", {"queued", "running", "cancelling", "succeeded", "failed", "cancelled"}}}},
                    {"progress", "number"},
                    {"stage", "string|null"},
                    {"position", "integer|null"},
                    {"eta_s", "number|null"},
                    {"attempt", "integer"},
                    {"device", "string|null"},
                    {"priority", "string"},
                    {"paused", "boolean"},
                    {"options", AnyObject()},
                    {"inputs", ListSchema(ObjectSchema({{"asset", "string"}, {"name", "string"}}))},
                    {"outputs", ListSchema(Reference("Output"))},
                    {"error", OrNull(AnyObject())},
                    {"project", "string"},
                    {"created", "string"},
                    {"started", "string|null"},
                    {"ended", "string|null"},
                    {"expires", "string|null"},
                    {"links", AnyObject()}});
  schemas["Jobs"] = ObjectSchema({{"jobs", ListSchema(Reference("Job"))}});
  schemas["JobResult"] = ObjectSchema({{"id", "string"},
                                       {"outputs", ListSchema(Reference("Output"))},
                                       {"report", OrNull(AnyObject())},
                                       {"said", ListSchema(ObjectSchema({{"kind", "string"}, {"text", "string"}}))}});
  schemas["Info"] =
      ObjectSchema({{"version", "string"}, {"kinds", ListSchema(TypeSchema("string"))}, {"limits", AnyObject()}});
  schemas["Kinds"] = ObjectSchema({{"kinds", ListSchema(ObjectSchema({{"name", "string"},
                                                                      {"summary", "string"},
                                                                      {"files", "boolean"},
                                                                      {"together", "boolean"},
                                                                      {"schema", "string"}}))}});
  schemas["Schema"] = AnyObject();
  schemas["Devices"] = ObjectSchema({{"devices", ListSchema(AnyObject())},
                                     {"auto", "string|null"},
                                     {"reason", "string"},
                                     {"slots", ListSchema(ObjectSchema({{"device", "string"},
                                                                        {"quick", "boolean"},
                                                                        {"job", "string|null"},
                                                                        {"restarts", "integer"},
                                                                        {"busy_seconds", "number"}}))}});
  schemas["Models"] = ObjectSchema({{"models", ListSchema(ObjectSchema({{"name", "string"},
                                                                        {"summary", "string"},
                                                                        {"task", "string"},
                                                                        {"stems", ListSchema(TypeSchema("string"))},
                                                                        {"licence", "string"},
                                                                        {"state", "string"},
                                                                        {"bytes", "integer"}}))}});
  const Json text = TypeSchema("string"), number = TypeSchema("number"), integer = TypeSchema("integer");
  const Json chain = OrNull({{"anyOf", Json::array({text, AnyObject()})}});
  schemas["ProjectRequest"] = {{"type", "object"},
                               {"properties",
                                {{"kind", {{"type", "string"}, {"enum", {"timeline", "drums"}}}},
                                 {"name", text},
                                 {"job", text},
                                 {"asset", text},
                                 {"sample_rate", integer},
                                 {"channels", integer},
                                 {"crossfade", number}}},
                               {"additionalProperties", false}};
  schemas["ProjectName"] = {{"type", "object"}, {"properties", {{"name", text}}}, {"additionalProperties", false}};
  Json operations = Json(TimelineOperations());
  for (const std::string& name : HitOperations()) {
    if (std::find(operations.begin(), operations.end(), name) == operations.end()) operations.push_back(name);
  }
  operations.push_back("undo");
  operations.push_back("redo");
  schemas["ProjectOperation"] = {
      {"type", "object"},
      {"properties",
       {{"op", {{"type", "string"}, {"enum", operations}}},
        {"asset", text},
        {"name", text},
        {"position", {{"type", "string"}, {"enum", {"intro", "previous", "next", "outro", "index"}}}},
        {"after", text},
        {"index", integer},
        {"from", integer},
        {"length", integer},
        {"gain_db", number},
        {"crossfade", number},
        {"clip", text},
        {"clips", ListSchema(text)},
        {"at", integer},
        {"db", number},
        {"on", TypeSchema("boolean")},
        {"seconds", OrNull(number)},
        {"hit", integer},
        {"note", integer},
        {"velocity", integer},
        {"stem", text},
        {"job", text},
        {"tempo_bpm", number},
        {"first", number},
        {"metre", text},
        {"times", {{"type", "string"}, {"enum", {"same", "double", "half"}}}},
        {"as_heard", TypeSchema("boolean")},
        {"chain", chain}}},
      {"required", {"op"}},
      {"additionalProperties", false}};
  // Of a project's jobs: what it decides itself is not said, and a video has its song, one of its mixes or no sound.
  Json listening = schemas["OptionsOf_drums"];
  for (const char* own : kOwnOptions) listening["properties"].erase(own);
  Json exporting = listening;
  exporting["properties"]["video_audio"] = OrNull(ObjectSchema({{"asset", "string"}}));
  schemas["OptionsOf_drums_listen"] = listening;
  schemas["OptionsOf_drums_export"] = exporting;
  schemas["ExportRequest"] = {
      {"type", "object"},
      {"properties", {{"options", {{"anyOf", {Reference("OptionsOf_join"), Reference("OptionsOf_drums_export")}}}}}},
      {"additionalProperties", false}};
  schemas["ListenRequest"] = {{"type", "object"},
                              {"properties", {{"options", Reference("OptionsOf_drums_listen")}}},
                              {"additionalProperties", false}};
  schemas["MixRequest"] = {{"type", "object"},
                           {"properties", {{"asset", text}, {"name", text}}},
                           {"required", {"asset"}},
                           {"additionalProperties", false}};
  const Json named = ListSchema(ObjectSchema({{"asset", "string"}, {"name", "string"}}));
  schemas["Mixes"] = ObjectSchema({{"mixes", named}});
  const Json stage =
      OrNull(ObjectSchema({{"state", "string"}, {"job", "string"}, {"files", ListSchema(Reference("Output"))}}));
  schemas["Stages"] = ObjectSchema({{"separated", stage}, {"midi", stage}, {"video", stage}});
  Json project = ObjectSchema({{"id", "string"},
                               {"kind", "string"},
                               {"name", "string"},
                               {"job", "string|null"},
                               {"revision", "integer"},
                               {"undo", "integer"},
                               {"redo", "integer"},
                               {"created", "string"},
                               {"changed", "string"},
                               {"links", AnyObject()}});
  schemas["ProjectSummary"] = project;
  schemas["Projects"] = ObjectSchema({{"projects", ListSchema(Reference("ProjectSummary"))}});
  schemas["BeatGrid"] = ObjectSchema({{"tempo_bpm", "number|null"},
                                      {"tempo_steady", "boolean"},
                                      {"metre", "string|null"},
                                      {"metre_confidence", "number"},
                                      {"downbeat", "integer"},
                                      {"beats", ListSchema(number)}});
  // One of the two, by the kind.
  project["properties"]["timeline"] = AnyObject();
  project["properties"]["clip"] = OrNull(text);
  project["properties"]["drums"] = ObjectSchema({{"asset", "string|null"},
                                                 {"heard", "string|null"},
                                                 {"sounds", named},
                                                 {"mixes", named},
                                                 {"configured", "boolean"},
                                                 {"grid", OrNull(Reference("BeatGrid"))},
                                                 {"next", "integer"},
                                                 {"hits", ListSchema(ObjectSchema({{"id", "integer"},
                                                                                   {"seconds", "number"},
                                                                                   {"note", "integer"},
                                                                                   {"velocity", "integer"},
                                                                                   {"stem", "string"}}))}});
  project["properties"]["hit"] = OrNull(integer);
  schemas["Project"] = project;
  schemas["Presets"] = ObjectSchema(
      {{"presets",
        ListSchema(ObjectSchema(
            {{"name", "string"}, {"title", "string"}, {"description", "string"}, {"chain", AnyObject()}}))}});
  schemas["Readiness"] = ObjectSchema({{"ready", "boolean"}, {"failing", ListSchema(TypeSchema("string"))}});
  return schemas;
}

}  // namespace timbre::server
