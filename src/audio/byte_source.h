// The bytes of an input: a file, a pipe, or a stretch of memory. Any place in them can be read at any time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/temporary_file.h"

namespace timbre {

// Whether the work is to stop. Asked before every piece that is read, from the thread that reads.
using CancelCheck = std::function<bool()>;

// Whether `path` stands for the standard input: "-", /dev/stdin and its other names.
bool IsStandardInput(const std::string& path);

// `path` where it is a folder, else the nearest one above it that exists: where what belongs to outputs in `path` can
// be kept before any folder is made for them.
std::string NearestFolder(const std::string& path);

// $TMPDIR, or a folder for what is large: where what belongs to no output is kept.
std::string LargeTemporaryFolder();

class ByteSource {
 public:
  // A regular file is read where it lies. What a pipe, a FIFO, a socket or the standard input gives is first kept, to
  // its end, in a nameless file in `temporary_folder` (empty: the system's folder for large temporary files), which
  // takes as much of the disk as was read. A FIFO is waited for until somebody writes. Fails in one sentence on what is
  // missing, a folder, a device or a terminal, with kIo where the disk is full, and with kCancelled.
  static Result<std::unique_ptr<ByteSource>> Open(const std::string& path, const std::string& temporary_folder,
                                                  CancelCheck cancelled);
  // `bytes` must outlive the source.
  static std::unique_ptr<ByteSource> OfMemory(std::span<const std::byte> bytes, std::string name,
                                              CancelCheck cancelled);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  // The same bytes once more, from the begin; must not outlive this one.
  std::unique_ptr<ByteSource> Again() const;

  // For messages: the path, or "stdin".
  const std::string& name() const { return name_; }
  int64_t size() const { return size_; }
  bool piped() const { return piped_; }  // another program wrote the bytes, or should have
  int64_t position() const { return position_; }

  // Reads at most `count` bytes and moves on: 0 at the end, -1 where the system fails (`failed` then says why) or the
  // work is to stop (`cancelled`).
  int64_t Read(void* to, int64_t count);
  // Gives `bytes` from `at` on, at most a header's, in place of what is there. What was replaced before is not any
  // more.
  void Replace(int64_t at, std::string bytes);
  // To any place from 0, beyond the end too. False for one before the begin.
  bool Seek(int64_t offset);

  // What keeps reads from succeeding, until the next Restart.
  int failed() const { return failed_; }  // errno
  bool cancelled() const { return cancelled_; }
  // Asks whether the work is to stop.
  bool Cancelled();
  // The failure as one sentence; none where nothing failed.
  Status Check() const;
  // To the begin, failures forgotten.
  void Restart();

 private:
  ByteSource() = default;
  Status Keep(int pipe, const std::string& temporary_folder);

  std::string name_;
  CancelCheck check_;
  int fd_ = -1;
  bool owned_ = true;  // fd_ is closed at the end
  bool piped_ = false;
  std::optional<TemporaryFile> kept_;  // of a pipe; fd_ is then its
  std::span<const std::byte> bytes_;
  int64_t position_ = 0, size_ = 0;
  int64_t replaced_at_ = 0;
  std::string replaced_;  // what stands there
  int failed_ = 0;
  bool cancelled_ = false;
};

}  // namespace timbre
