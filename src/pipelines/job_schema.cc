#include "pipelines/job_schema.h"

namespace timbre {

Json TypeSchema(const std::string& types) {
  if (types.find('|') == std::string::npos) return {{"type", types}};
  Json list = Json::array();
  for (size_t begin = 0; begin <= types.size();) {
    const size_t end = std::min(types.find('|', begin), types.size());
    list.push_back(types.substr(begin, end - begin));
    begin = end + 1;
  }
  return {{"type", list}};
}

Json ListSchema(Json items) { return {{"type", "array"}, {"items", std::move(items)}}; }

Json ObjectSchema(const std::vector<SchemaMember>& members) {
  Json properties = Json::object(), required = Json::array();
  for (const SchemaMember& member : members) {
    std::string name = member.name;
    if (name.ends_with('?'))
      name.pop_back();
    else
      required.push_back(name);
    properties[name] = member.schema;
  }
  return {{"type", "object"}, {"properties", properties}, {"required", required}, {"additionalProperties", false}};
}

Json DeviceSchema() {
  Json counts = {{"type", "object"}, {"additionalProperties", TypeSchema("integer")}};
  return ObjectSchema({{"name", "string"}, {"reason", "string"}, {"kernels?", std::move(counts)}});
}

Json StepsDownSchema() {
  return ListSchema(ObjectSchema(
      {{"node", "string"}, {"from", "string"}, {"to", "string"}, {"reason", "string"}, {"count", "integer"}}));
}

Json InputSchema(const std::vector<SchemaMember>& more) {
  std::vector<SchemaMember> members = {{"input", "string"},     {"input_format", "string"}, {"sample_rate", "integer"},
                                       {"channels", "integer"}, {"samples", "integer"},     {"seconds", "number"}};
  members.insert(members.end(), more.begin(), more.end());
  members.emplace_back("warning", "string|null");
  return ObjectSchema(members);
}

Json TrackSchema(Json track) {
  Json failed = ObjectSchema({{"input", "string"}, {"error", "string"}});
  return {{"anyOf", {std::move(track), std::move(failed)}}};
}

Json OptionsSchema(const FieldList& fields) {
  Json schema = FieldsSchema(fields);
  // A report holds them all.
  Json names = Json::array();
  for (const Field& field : fields) names.push_back(KeyOf(field));
  schema["required"] = std::move(names);
  return schema;
}

}  // namespace timbre
