// SQLite, with errors as values. One connection, used by one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace timbre::engine {

using Value = std::variant<std::nullptr_t, int64_t, double, std::string>;

// A row of a result: a value a column, in the order of the query.
class Row {
 public:
  explicit Row(std::vector<Value> values) : values_(std::move(values)) {}
  bool IsNull(size_t column) const { return std::holds_alternative<std::nullptr_t>(values_[column]); }
  // 0 and empty where the column is NULL or of another type.
  int64_t Int(size_t column) const;
  double Real(size_t column) const;
  const std::string& Text(size_t column) const;

 private:
  std::vector<Value> values_;
};

class Database {
 public:
  // Opened or made, with a write-ahead log and every commit on the disk when it returns. kCorrupt where the file is no
  // database, kIo where it can't be opened.
  static Result<Database> Open(const std::string& path);
  Database(Database&& other) noexcept;
  Database& operator=(Database&& other) noexcept;
  ~Database();

  // One statement, with '?' for each of `values`. `sql` is a literal: statements are kept prepared by its address.
  Result<std::vector<Row>> Run(const char* sql, const std::vector<Value>& values = {});
  // The same of a statement that gives no rows.
  Status Do(const char* sql, const std::vector<Value>& values = {});
  // Several statements without values.
  Status Execute(const std::string& sql);
  // Rows that the last statement changed.
  int64_t Changed() const;
  // All of `body` happens, or nothing of it. Not nested.
  Status InTransaction(const std::function<Status()>& body);

 private:
  Database() = default;
  tl::unexpected<Error> Failed(const char* sql) const;
  std::string path_;
  sqlite3* handle_ = nullptr;
  std::map<const char*, sqlite3_stmt*> prepared_;
};

}  // namespace timbre::engine
