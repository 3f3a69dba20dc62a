// A body that goes into a file.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "http/message.h"

namespace timbre::server {

class FileSink final : public http::BodySink {
 public:
  // The file is made where it is missing, and written to from `offset` on. Without Release() or Keep() it is removed.
  FileSink(std::string path, int64_t offset);
  ~FileSink() override;
  Status Write(std::string_view bytes) override;
  // Brings all to the disk. The first thing that went wrong, if any did.
  Status Close();
  const Status& status() const { return status_; }
  int64_t written() const { return written_; }
  // The file stays: its path.
  std::string Release();

 private:
  std::string path_;
  int fd_ = -1;
  bool keep_ = false;
  int64_t written_ = 0, unsynced_ = 0;
  Status status_;
};

}  // namespace timbre::server
