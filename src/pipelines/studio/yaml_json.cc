#include "pipelines/studio/yaml_json.h"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace timbre {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kLargestFile = 1 << 20;
constexpr size_t kMostValues = 50000, kDeepest = 16;

Json ScalarOf(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;  // quoted
  if (text == "true" || text == "false") return text == "true";
  if (text.empty() || text == "~" || text == "null") return nullptr;
  const char* const end = text.data() + text.size();
  const char* const begin = text.data() + (text[0] == '+' ? 1 : 0);
  int64_t whole = 0;
  if (const auto read = std::from_chars(begin, end, whole); read.ec == std::errc() && read.ptr == end) return whole;
  double number = 0;
  if (const auto read = std::from_chars(begin, end, number); read.ec == std::errc() && read.ptr == end) {
    return number;
  }
  return text;
}

Status Convert(const YAML::Node& node, size_t depth, size_t& count, Json& json) {
  if (depth > kDeepest) return Fail(ErrorCode::kInvalidArgument, "it is nested deeper than 16.");
  // Aliases let a small file describe a huge tree.
  if (++count > kMostValues) return Fail(ErrorCode::kInvalidArgument, "it has more than 50000 values.");
  if (node.IsSequence()) {
    json = Json::array();
    for (const auto& item : node) {
      Json value;
      TIMBRE_CHECK(Convert(item, depth + 1, count, value));
      json.push_back(std::move(value));
    }
  } else if (node.IsMap()) {
    json = Json::object();
    for (const auto& item : node) {
      if (!item.first.IsScalar()) return Fail(ErrorCode::kInvalidArgument, "a key is not a plain name.");
      const std::string& key = item.first.Scalar();
      // An object's members are searched in a row.
      if (json.size() > 256) return Fail(ErrorCode::kInvalidArgument, "a map has more than 256 entries.");
      if (json.contains(key)) return Fail(ErrorCode::kInvalidArgument, "'" + Printable(key) + "' is there twice.");
      TIMBRE_CHECK(Convert(item.second, depth + 1, count, json[key]));
    }
  } else if (node.IsScalar()) {
    if (!IsUtf8(node.Scalar())) return Fail(ErrorCode::kInvalidArgument, "it holds text that is not UTF-8.");
    json = ScalarOf(node);
  }
  return {};
}

}  // namespace

Result<Json> ParseYaml(std::string_view text, std::string_view name) {
  if (text.size() > kLargestFile) {
    return Fail(ErrorCode::kInvalidArgument, std::string(name) + ": it is larger than 1 MiB.");
  }
  try {
    const YAML::Node node = YAML::Load(std::string(text));
    Json json;
    size_t count = 0;
    if (const Status converted = Convert(node, 0, count, json); !converted) return Prefix(converted.error(), name);
    return json;
  } catch (const YAML::Exception& e) {
    return Fail(ErrorCode::kInvalidArgument, std::string(name) + ": it is not valid YAML at line " +
                                                 std::to_string(e.mark.line + 1) + ", column " +
                                                 std::to_string(e.mark.column + 1) + ": " + Printable(e.msg) + ".");
  }
}

Result<Json> ReadYaml(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Fail(ErrorCode::kNotFound, path + ": it cannot be opened.");
  std::string text(kLargestFile + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return Fail(ErrorCode::kIo, path + ": it cannot be read.");
  text.resize(static_cast<size_t>(in.gcount()));
  return ParseYaml(text, path);
}

}  // namespace timbre
