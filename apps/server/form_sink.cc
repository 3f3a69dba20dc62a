#include "apps/server/form_sink.h"

#include <utility>

namespace timbre::server {

FormSink::FormSink(std::string_view boundary, std::function<std::string()> new_path)
    : new_path_(std::move(new_path)),
      reader_(boundary,
              {.begin = [this](const http::FormPart& part) -> Status {
                 in_file_ = part.name == "file";
                 if (!in_file_) return {};  // other fields mean nothing here
                 const std::string& name = part.file_name;
                 files_.push_back({name.empty() ? "unnamed" : name, std::make_unique<FileSink>(new_path_(), 0)});
                 return files_.back().sink->status();
               },
               .data = [this](std::string_view bytes) -> Status {
                 return in_file_ ? files_.back().sink->Write(bytes) : Status();
               },
               .end = [this]() -> Status { return in_file_ ? files_.back().sink->Close() : Status(); }}) {}

Status FormSink::Write(std::string_view bytes) {
  if (status_) status_ = reader_.Feed(bytes);
  return status_;
}

Status FormSink::Close() {
  if (status_) status_ = reader_.Finish();
  return status_;
}

}  // namespace timbre::server
