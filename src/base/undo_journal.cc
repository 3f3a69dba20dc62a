#include "base/undo_journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/file_faults.h"
#include "base/paths.h"
#include "base/temporary_file.h"

namespace timbre {
namespace {

constexpr std::string_view kMagic = "timbre undo 1", kEnding = ".undo";
constexpr size_t kMostBytes = size_t{1} << 20;

// What the journal says of a file: the names are of its folder, and each ends with a zero byte.
struct Line {
  std::string hidden;    // where the new file lay, if in this folder
  std::string old;       // the old file's second name; empty where there was none
  std::string identity;  // the new file's
  std::string name;
};

// What tells a file from one that is made later under the same name, and does not change when it is renamed.
std::string IdentityOf(const std::string& path) {
  struct stat info = {};
  if (lstat(path.c_str(), &info) != 0) return "";
  return std::to_string(info.st_ino) + "-" + std::to_string(info.st_size) + "-" + std::to_string(info.st_mtim.tv_sec) +
         "." + std::to_string(info.st_mtim.tv_nsec);
}

std::string OldName(const std::string& journal, size_t index) {
  return journal.substr(0, journal.size() - kEnding.size()) + "-" + std::to_string(index) + ".old";
}

bool IsPlain(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

// The lines of the journal that is open as `fd`; none where it is not whole.
std::vector<Line> ReadLines(int fd) {
  std::string text;
  char block[4096];
  for (ssize_t got; (got = pread(fd, block, sizeof(block), static_cast<off_t>(text.size()))) > 0;) {
    text.append(block, static_cast<size_t>(got));
    if (text.size() > kMostBytes) return {};
  }
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\0', at);
    if (end == std::string::npos) return {};
    words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  // The count at the end tells that nothing is missing.
  if (words.size() < 2 || words.front() != kMagic || words.size() % 4 != 2) return {};
  std::vector<Line> lines;
  for (size_t i = 1; i + 4 < words.size(); i += 4) {
    Line line{words[i], words[i + 1], words[i + 2], words[i + 3]};
    const bool plain = IsPlain(line.name) && (line.old.empty() || (IsPlain(line.old) && IsHiddenName(line.old))) &&
                       (line.hidden.empty() || (IsPlain(line.hidden) && IsHiddenName(line.hidden)));
    if (!plain) return {};
    lines.push_back(std::move(line));
  }
  if (words.back() != std::to_string(lines.size())) return {};
  return lines;
}

bool UndoLines(const std::string& folder, const std::vector<Line>& lines) {
  bool good = true;
  for (const Line& line : lines) {
    const std::string name = folder + line.name, now = IdentityOf(name);
    if (line.old.empty()) {
      if (!line.identity.empty() && now == line.identity) good = unlink(name.c_str()) == 0 && good;
    } else if (const std::string old = folder + line.old; !IdentityOf(old).empty()) {
      if (now.empty() || now == line.identity) {
        good = std::rename(old.c_str(), name.c_str()) == 0 && good;
      } else {
        unlink(old.c_str());  // it still has its first name, or that is another's by now
      }
    }
    if (!line.hidden.empty()) unlink((folder + line.hidden).c_str());
  }
  return good;
}

// A second name where the file system has such; else the file moves there.
bool PutAside(const std::string& from, const std::string& to) {
  if (FileStepFails(FileStep::kLink, to)) return false;
  if (linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0) == 0) return true;
  if (errno == ENOENT || errno == EEXIST) return false;
  return std::rename(from.c_str(), to.c_str()) == 0;
}

bool WriteWhole(int fd, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t written = write(fd, text.data() + at, text.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    at += static_cast<size_t>(written);
  }
  return true;
}

}  // namespace

Result<UndoJournal> UndoJournal::Create(const std::string& folder, const std::vector<Entry>& entries) {
  UndoJournal journal;
  const auto failed = [&](const std::string& name) {
    return Fail(ErrorCode::kIo, "'" + folder + name + "' could not be put in its place: " + std::strerror(errno) + ".");
  };
  // A name that is left over from a killed process with the same number is skipped.
  for (int attempt = 0; journal.fd_ < 0 && attempt < 100; ++attempt) {
    journal.path_ = HiddenName(folder, kEnding);
    if (FileStepFails(FileStep::kCreate, journal.path_)) break;
    journal.fd_ = open(journal.path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (journal.fd_ < 0 && errno != EEXIST) break;
    if (journal.fd_ < 0) continue;
    flock(journal.fd_, LOCK_EX);
    if (!IsStill(journal.path_, journal.fd_)) close(std::exchange(journal.fd_, -1));
  }
  if (journal.fd_ < 0) return failed(entries.front().name);
  std::string text(kMagic);
  text += '\0';
  std::vector<std::string> olds;
  for (size_t i = 0; i < entries.size(); ++i) {
    const bool here = FolderOf(entries[i].from) == FolderOf(journal.path_);
    const bool exists = !IdentityOf(folder + entries[i].name).empty();
    olds.push_back(exists ? OldName(journal.path_, i) : "");
    const std::string words[] = {here ? entries[i].from.substr(FolderOf(entries[i].from).size()) : "",
                                 exists ? olds.back().substr(FolderOf(olds.back()).size()) : "",
                                 IdentityOf(entries[i].from), entries[i].name};
    for (const std::string& word : words) text.append(word).push_back('\0');
  }
  text.append(std::to_string(entries.size())).push_back('\0');
  if (FileStepFails(FileStep::kWrite, journal.path_) || !WriteWhole(journal.fd_, text)) {
    return failed(entries.front().name);
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!olds[i].empty() && !PutAside(folder + entries[i].name, olds[i])) return failed(entries[i].name);
  }
  return journal;
}

UndoJournal& UndoJournal::operator=(UndoJournal&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  return *this;
}

UndoJournal::~UndoJournal() {
  if (fd_ >= 0) Undo();
}

bool UndoJournal::Undo() {
  if (fd_ < 0) return true;
  const bool good = UndoLines(FolderOf(path_), ReadLines(fd_));
  if (good) unlink(path_.c_str());
  close(std::exchange(fd_, -1));
  return good;
}

void UndoJournal::Done() {
  if (fd_ < 0) return;
  const std::vector<Line> lines = ReadLines(fd_);
  unlink(path_.c_str());  // from here on there is nothing to put back
  for (const Line& line : lines) {
    if (!line.old.empty()) unlink((FolderOf(path_) + line.old).c_str());
  }
  close(std::exchange(fd_, -1));
}

void UndoLeftover(const std::string& path, int fd) {
  if (UndoLines(FolderOf(path), ReadLines(fd))) unlink(path.c_str());
}

bool IsOldFileOfNoJournal(const std::string& path) {
  const size_t dash = path.rfind('-');
  const std::string journal = path.substr(0, dash) + std::string(kEnding);
  struct stat info = {};
  return lstat(journal.c_str(), &info) != 0 && errno == ENOENT;
}

}  // namespace timbre
