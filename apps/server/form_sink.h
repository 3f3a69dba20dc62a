// A body of multipart/form-data: its files go where other bodies go.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/server/file_sink.h"
#include "http/multipart.h"

namespace timbre::server {

class FormSink final : public http::BodySink {
 public:
  // `new_path` gives each file a place.
  FormSink(std::string_view boundary, std::function<std::string()> new_path);
  Status Write(std::string_view bytes) override;
  // Whether all has come, and is on the disk. The first thing that went wrong, if any did: kInvalidArgument where the
  // body is no such form.
  Status Close();

  struct File {
    std::string name;
    std::unique_ptr<FileSink> sink;  // gone with this, unless it is released
  };
  std::vector<File>& files() { return files_; }

 private:
  const std::function<std::string()> new_path_;
  std::vector<File> files_;
  bool in_file_ = false;
  http::MultipartReader reader_;
  Status status_;
};

}  // namespace timbre::server
