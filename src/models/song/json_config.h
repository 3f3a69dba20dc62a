// Reads the JSON that lies beside a network's weights: an object whose numbers are bounded before anything is sized by
// them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace timbre {

// An object, or part of one. The first error is kept, everything after it is inert, and Finish returns it. A key that
// is absent gives its default; without one it is an error. Errors name the key.
class JsonConfig {
 public:
  // At most a megabyte of text.
  static Result<JsonConfig> Parse(std::string_view text);

  int64_t Int(const std::string& key, int64_t least, int64_t most, std::optional<int64_t> otherwise = {});
  double Number(const std::string& key, double least, double most, std::optional<double> otherwise = {});
  bool Bool(const std::string& key, std::optional<bool> otherwise = {});
  std::string Text(const std::string& key, const std::optional<std::string>& otherwise = {});
  // At most `count` numbers, at least one.
  std::vector<int> Ints(const std::string& key, int64_t least, int64_t most, size_t count);
  // The same, or a number by itself.
  std::vector<int> IntOrInts(const std::string& key, int64_t least, int64_t most, size_t count);
  std::vector<std::vector<int>> IntLists(const std::string& key, int64_t least, int64_t most, size_t count);
  // An object within; an empty one where it is absent.
  JsonConfig Object(const std::string& key);
  bool Has(const std::string& key) const;

  void Complain(const std::string& what);
  // Of this object and those taken from it before.
  Status Finish() const;

 private:
  explicit JsonConfig(nlohmann::json root, std::string path) : root_(std::move(root)), path_(std::move(path)) {}
  const nlohmann::json* Find(const std::string& key, bool required);
  std::vector<int> IntsOf(const nlohmann::json& list, const std::string& key, int64_t least, int64_t most,
                          size_t count);

  nlohmann::json root_;
  std::string path_;  // of an inner object, with its dot
  std::shared_ptr<std::optional<Error>> error_ = std::make_shared<std::optional<Error>>();
};

}  // namespace timbre
