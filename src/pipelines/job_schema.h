// Schemas of reports, written as short as what they describe.
#pragma once

#include <string>
#include <vector>

#include "pipelines/job.h"

namespace timbre {

// {"type": "string"}; of several with a '|' between: "number|null".
Json TypeSchema(const std::string& types);
Json ListSchema(Json items);

struct SchemaMember {
  SchemaMember(std::string member, const char* types) : name(std::move(member)), schema(TypeSchema(types)) {}
  SchemaMember(std::string member, Json of) : name(std::move(member)), schema(std::move(of)) {}
  std::string name;  // with a '?' at its end where it may be missing
  Json schema;
};
// An object of these members and no others.
Json ObjectSchema(const std::vector<SchemaMember>& members);

// What several kinds report.
Json DeviceSchema();     // {"name", "reason", "kernels"}
Json StepsDownSchema();  // as ReportSteps writes it
// A sound that was read: {"input", "input_format", "sample_rate", "channels", "samples", "seconds", "warning"}, and
// `more`.
Json InputSchema(const std::vector<SchemaMember>& more);
// One of a list of tracks: as `track` describes it, or {"input", "error"}.
Json TrackSchema(Json track);
// Fields as FieldsToJson writes them.
Json OptionsSchema(const FieldList& fields);

}  // namespace timbre
