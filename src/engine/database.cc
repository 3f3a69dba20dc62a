#include "engine/database.h"

#include <sqlite3.h>

#include <memory>
#include <utility>

namespace timbre::engine {
namespace {

// Whoever else has the file open, such as a person's sqlite3, is given that long.
constexpr int kBusyMilliseconds = 5000;

ErrorCode CodeOf(int code) {
  switch (code & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ErrorCode::kCorrupt;
    case SQLITE_NOMEM: return ErrorCode::kOutOfMemory;
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE: return ErrorCode::kInternal;
    default: return ErrorCode::kIo;
  }
}

void Bind(sqlite3_stmt* statement, int index, const Value& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    sqlite3_bind_int64(statement, index, *number);
  } else if (const auto* real = std::get_if<double>(&value)) {
    sqlite3_bind_double(statement, index, *real);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    sqlite3_bind_text(statement, index, text->data(), static_cast<int>(text->size()), SQLITE_TRANSIENT);
  } else {
    sqlite3_bind_null(statement, index);
  }
}

Value Column(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER: return int64_t{sqlite3_column_int64(statement, column)};
    case SQLITE_FLOAT: return sqlite3_column_double(statement, column);
    case SQLITE_NULL: return nullptr;
    default: break;
  }
  const auto* text = static_cast<const char*>(sqlite3_column_blob(statement, column));
  return std::string(text == nullptr ? "" : text, static_cast<size_t>(sqlite3_column_bytes(statement, column)));
}

}  // namespace

int64_t Row::Int(size_t column) const {
  const auto* value = std::get_if<int64_t>(&values_[column]);
  return value == nullptr ? 0 : *value;
}

double Row::Real(size_t column) const {
  const auto* value = std::get_if<double>(&values_[column]);
  return value == nullptr ? static_cast<double>(Int(column)) : *value;
}

const std::string& Row::Text(size_t column) const {
  static const std::string kEmpty;
  const auto* value = std::get_if<std::string>(&values_[column]);
  return value == nullptr ? kEmpty : *value;
}

Database::Database(Database&& other) noexcept { *this = std::move(other); }

Database& Database::operator=(Database&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(handle_, other.handle_);
  std::swap(prepared_, other.prepared_);
  return *this;
}

Database::~Database() {
  for (const auto& [sql, statement] : prepared_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

tl::unexpected<Error> Database::Failed(const char* sql) const {
  const int code = sqlite3_extended_errcode(handle_);
  std::string message = "'" + path_ + "': " + sqlite3_errmsg(handle_);
  if (CodeOf(code) == ErrorCode::kInternal) message += std::string(" in ") + sql;
  return Fail(CodeOf(code), message + ".");
}

Result<Database> Database::Open(const std::string& path) {
  Database database;
  database.path_ = path;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(path.c_str(), &database.handle_, flags, nullptr) != SQLITE_OK) return database.Failed("open");
  sqlite3_busy_timeout(database.handle_, kBusyMilliseconds);
  TIMBRE_CHECK(database.Execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON"));
  return database;
}

Result<std::vector<Row>> Database::Run(const char* sql, const std::vector<Value>& values) {
  sqlite3_stmt*& statement = prepared_[sql];
  if (statement == nullptr && sqlite3_prepare_v2(handle_, sql, -1, &statement, nullptr) != SQLITE_OK) {
    return Failed(sql);
  }
  for (size_t i = 0; i < values.size(); ++i) Bind(statement, static_cast<int>(i) + 1, values[i]);
  std::vector<Row> rows;
  int step = SQLITE_ROW;
  while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
    std::vector<Value> columns;
    const int count = sqlite3_column_count(statement);
    columns.reserve(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) columns.push_back(Column(statement, i));
    rows.emplace_back(std::move(columns));
  }
  if (step != SQLITE_DONE) {
    auto failed = Failed(sql);  // before the reset takes the error away
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return failed;
  }
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return rows;
}

Status Database::Do(const char* sql, const std::vector<Value>& values) {
  const Result<std::vector<Row>> done = Run(sql, values);
  if (!done) return tl::unexpected<Error>(done.error());
  return {};
}

Status Database::Execute(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return Failed(sql.c_str());
  return {};
}

int64_t Database::Changed() const { return sqlite3_changes64(handle_); }

Status Database::InTransaction(const std::function<Status()>& body) {
  TIMBRE_CHECK(Execute("BEGIN IMMEDIATE"));
  Status done = body();
  if (done) done = Execute("COMMIT");
  // Some failures, a full disk among them, have rolled back already.
  if (!done && sqlite3_get_autocommit(handle_) == 0) (void)Execute("ROLLBACK");
  return done;
}

}  // namespace timbre::engine
