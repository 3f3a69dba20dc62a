#include "pipelines/report_file.h"

#include <cstdio>
#include <filesystem>

#include "pipelines/job_json.h"

namespace timbre {

Result<ReportFile> ReportFile::Open(const std::string& path) {
  ReportFile report;
  report.path_ = path;
  std::error_code ignored;
  if (path.empty() || std::filesystem::is_character_file(path, ignored)) return report;
  TIMBRE_TRY(AtomicFile file, AtomicFile::Create(path));
  report.file_ = std::move(file);
  return report;
}

Status ReportFile::Write(const Json& report) {
  if (path_.empty()) return {};
  const std::string text = ReportText(report);
  if (file_) {
    TIMBRE_CHECK(file_->Write(text));
    return file_->Commit();
  }
  FILE* device = std::fopen(path_.c_str(), "wb");
  bool good = device != nullptr && std::fwrite(text.data(), 1, text.size(), device) == text.size();
  if (device != nullptr) good = std::fclose(device) == 0 && good;
  if (good) return {};
  return Fail(ErrorCode::kIo, "the report could not be written to '" + path_ + "'");
}

}  // namespace timbre
