#include "store/download.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>

#include "base/files.h"
#include "base/sha256.h"
#include "base/text.h"
#include "store/curl.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kLivelyBytes = 4096;  // a connection that brings this much within stall_seconds is alive
constexpr size_t kMostTagBytes = 1024;  // a longer validator is not kept

fs::path WithSuffix(const fs::path& path, const char* suffix) {
  fs::path result = path;
  result += suffix;
  return result;
}

void Remove(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
}

std::string Count(int64_t bytes) { return std::to_string(bytes) + " bytes"; }

std::string_view Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::optional<int64_t> Number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// How one connection ended.
enum class Ending {
  kComplete,   // everything the server announced is in the file
  kBroken,     // worth another connection that goes on from here
  kStartOver,  // what is in the file can't be gone on from
  kFatal,
};

// One connection: what libcurl's callbacks share.
struct Transfer {
  const DownloadRequest* request;
  Observer* observer;
  CURL* curl;
  std::FILE* file;    // the .part file, open for appending
  fs::path tag_path;  // where the validator is kept
  int64_t have = 0;   // bytes in the file
  int64_t resumed_at = 0;
  int64_t announced = 0;  // the whole size by the server's word, 0 while unknown
  bool begun = false;     // the answer's headers have been judged
  Ending ending = Ending::kComplete;
  std::optional<Error> error;
  // From the last answer's headers.
  std::string tag, date, content_type, content_range;
  // The last moment when the connection was alive, and what it had brought.
  Clock::time_point alive = Clock::now();
  int64_t alive_bytes = 0;

  bool Stop(Ending how, ErrorCode code, std::string message) {
    ending = how;
    error = Error{code, std::move(message)};
    return false;
  }
  bool Begin();
  bool Alive();
};

// Judges the answer before its first byte is kept. False stops the transfer.
bool Transfer::Begin() {
  begun = true;
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  const std::string& url = request->url;
  if (status == 416 && resumed_at > 0) {
    return Stop(Ending::kStartOver, ErrorCode::kIo, url + " has no bytes after " + std::to_string(resumed_at) + ".");
  }
  if (status != 200 && status != 206) {
    return Stop(status >= 500 ? Ending::kBroken : Ending::kFatal, status == 404 ? ErrorCode::kNotFound : ErrorCode::kIo,
                url + " can't be fetched: the server answered with status " + std::to_string(status) + ".");
  }
  if (content_type.find("text/html") != std::string::npos) {
    return Stop(Ending::kFatal, ErrorCode::kCorrupt, url + " sent a web page in place of the file.");
  }
  if (status == 206) {
    // "bytes FIRST-LAST/TOTAL", TOTAL may be '*'
    const std::string_view range = Trimmed(content_range);
    const size_t dash = range.find('-'), slash = range.find('/');
    std::optional<int64_t> first;
    if (range.starts_with("bytes ") && dash != std::string_view::npos) first = Number(range.substr(6, dash - 6));
    if (!first || *first != resumed_at) {
      return Stop(Ending::kStartOver, ErrorCode::kCorrupt, url + " sent another part of the file than asked for.");
    }
    if (slash != std::string_view::npos) announced = Number(range.substr(slash + 1)).value_or(0);
  } else if (have > 0) {  // the server doesn't resume, or the file has changed: it sends all of it
    std::error_code failed;
    if (std::fflush(file) == 0) fs::resize_file(WithSuffix(request->target, ".part"), 0, failed);
    if (failed)
      return Stop(Ending::kFatal, ErrorCode::kIo, "the partial download can't be emptied: " + failed.message() + ".");
    have = resumed_at = 0;
  }
  if (announced == 0) {
    curl_off_t length = -1;
    curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length > 0) announced = have + length;
  }
  if (announced > 0 && request->bytes > 0 && announced != request->bytes) {
    return Stop(
        Ending::kFatal, ErrorCode::kCorrupt,
        url + " is " + Count(announced) + " by the server's word, and should be " + Count(request->bytes) + ".");
  }
  const int64_t most = request->bytes > 0 ? request->bytes : request->most_bytes;
  if (announced > most) {
    return Stop(Ending::kFatal, ErrorCode::kCorrupt,
                url + " is " + Count(announced) + ", more than the " + Count(most) + " that are accepted.");
  }
  const int64_t total = request->bytes > 0 ? request->bytes : announced;
  std::error_code no_space;
  const fs::space_info space = fs::space(request->target.parent_path(), no_space);
  if (!no_space && total > have && space.available < static_cast<uintmax_t>(total - have)) {
    return Stop(Ending::kFatal, ErrorCode::kIo,
                request->target.parent_path().string() + " has " + Count(static_cast<int64_t>(space.available)) +
                    " free, and " + Count(total - have) + " are to come; make room.");
  }
  // A weak ETag promises likeness, not equal bytes.
  const std::string_view validator = !tag.empty() && !tag.starts_with("W/") ? std::string_view(tag) : date;
  Remove(tag_path);
  if (!validator.empty() && validator.size() <= kMostTagBytes) std::ofstream(tag_path, std::ios::binary) << validator;
  return true;
}

// Keeps watch: reports progress, and stops what is cancelled or stalled.
bool Transfer::Alive() {
  if (observer != nullptr) {
    if (observer->Cancelled()) return Stop(Ending::kFatal, ErrorCode::kCancelled, "cancelled.");
    if (begun) {
      observer->OnProgress(
          {.stage = Stage::kDownload, .done = have, .total = request->bytes > 0 ? request->bytes : announced});
    }
  }
  const Clock::time_point now = Clock::now();
  if (have - alive_bytes >= kLivelyBytes) {
    alive = now;
    alive_bytes = have;
  } else if (std::chrono::duration<double>(now - alive).count() > request->stall_seconds) {
    return Stop(Ending::kBroken, ErrorCode::kIo,
                request->url + " stalled after " + Count(have) + "; what has arrived is kept, run it again to go on.");
  }
  return true;
}

size_t OnBody(char* data, size_t, size_t size, void* self) {
  Transfer& transfer = *static_cast<Transfer*>(self);
  if (!transfer.begun && !transfer.Begin()) return 0;
  const int64_t most = transfer.request->bytes > 0 ? transfer.request->bytes : transfer.request->most_bytes;
  if (static_cast<int64_t>(size) > most - transfer.have) {
    transfer.Stop(Ending::kFatal, ErrorCode::kCorrupt,
                  transfer.request->url + " sends more than the " + Count(most) + " that are accepted.");
    return 0;
  }
  if (std::fwrite(data, 1, size, transfer.file) != size) {
    transfer.Stop(Ending::kFatal, ErrorCode::kIo,
                  transfer.request->target.string() + ".part can't be written: " + std::strerror(errno) + ".");
    return 0;
  }
  transfer.have += static_cast<int64_t>(size);
  return size;
}

size_t OnHeader(char* data, size_t, size_t size, void* self) {
  Transfer& transfer = *static_cast<Transfer*>(self);
  const std::string_view line(data, size);
  if (line.starts_with("HTTP/")) {  // a redirect's headers are not the file's
    transfer.tag.clear();
    transfer.date.clear();
    transfer.content_type.clear();
    transfer.content_range.clear();
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  const std::string_view name = line.substr(0, colon), value = Trimmed(line.substr(colon + 1));
  if (EqualIgnoringCase(name, "ETag")) transfer.tag = value;
  if (EqualIgnoringCase(name, "Last-Modified")) transfer.date = value;
  if (EqualIgnoringCase(name, "Content-Type")) transfer.content_type = value;
  if (EqualIgnoringCase(name, "Content-Range")) transfer.content_range = value;
  return size;
}

int OnWatch(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Transfer*>(self)->Alive() ? 0 : 1;
}

// Where a partial download can be gone on from, and the validator to send along; 0 where it can't.
int64_t ResumePoint(const DownloadRequest& request, const fs::path& part, const fs::path& tag_path, std::string& tag) {
  const int64_t have = std::max<int64_t>(0, FileBytes(part));
  std::ifstream stream(tag_path, std::ios::binary);
  if (stream) tag.assign(std::istreambuf_iterator<char>(stream), {});
  const bool usable_tag = !tag.empty() && tag.size() <= kMostTagBytes &&
                          std::none_of(tag.begin(), tag.end(), [](char c) { return c == '\r' || c == '\n' || c == 0; });
  if (!usable_tag) tag.clear();
  const bool too_long = request.bytes > 0 && have >= request.bytes;
  return too_long || (tag.empty() && request.sha256.empty()) ? 0 : have;
}

struct Attempt {
  Ending ending;
  Error error;   // unless complete
  bool resumed;  // part of the file is from an earlier connection
};

Attempt Connect(const DownloadRequest& request, const fs::path& part, const fs::path& tag_path, Observer* observer) {
  const auto failed = [](Ending ending, ErrorCode code, std::string message) {
    return Attempt{ending, Error{code, std::move(message)}, false};
  };
  std::string tag;
  const int64_t from = ResumePoint(request, part, tag_path, tag);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(part.c_str(), from > 0 ? "ab" : "wb"),
                                                             std::fclose);
  if (!file) {
    return failed(Ending::kFatal, ErrorCode::kIo, part.string() + " can't be made: " + std::strerror(errno) + ".");
  }
  const std::unique_ptr<CURL, void (*)(CURL*)> handle(curl_easy_init(), curl_easy_cleanup);
  if (!handle) return failed(Ending::kFatal, ErrorCode::kInternal, "libcurl can't be started.");
  CURL* curl = handle.get();
  Transfer transfer{.request = &request,
                    .observer = observer,
                    .curl = curl,
                    .file = file.get(),
                    .tag_path = tag_path,
                    .have = from,
                    .resumed_at = from,
                    .alive_bytes = from};

  const std::string range = std::to_string(from) + "-", if_range = "If-Range: " + tag;
  std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(nullptr, curl_slist_free_all);
  if (from > 0) {
    curl_easy_setopt(curl, CURLOPT_RANGE, range.c_str());
    if (!tag.empty()) headers.reset(curl_slist_append(nullptr, if_range.c_str()));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  }
  char reason[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "timbre");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, request.url.starts_with("https:") ? "https" : "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, OnWatch);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);

  const CURLcode code = curl_easy_perform(curl);
  if (code == CURLE_OK && !transfer.begun) transfer.Begin();  // an answer without a body
  if (std::fflush(file.get()) != 0 && !transfer.error) {
    transfer.Stop(Ending::kFatal, ErrorCode::kIo, part.string() + " can't be written: " + std::strerror(errno) + ".");
  }
  if (!transfer.error && code != CURLE_OK) {
    const bool in_circles = code == CURLE_TOO_MANY_REDIRECTS;
    const bool broken_off = transfer.begun || code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR;
    std::string message = request.url + " can't be fetched: ";
    if (in_circles) {
      message += "the server redirects in circles.";
    } else if (transfer.begun) {
      message += "the connection broke off after " + Count(transfer.have) +
                 "; what has arrived is kept, run it again to go on.";
    } else {
      message += reason[0] != 0 ? reason : curl_easy_strerror(code);
      message += ".";
    }
    transfer.Stop(broken_off ? Ending::kBroken : Ending::kFatal, ErrorCode::kIo, std::move(message));
  }
  const int64_t total = request.bytes > 0 ? request.bytes : transfer.announced;
  if (!transfer.error && transfer.have < total) {
    transfer.Stop(Ending::kBroken, ErrorCode::kIo,
                  request.url + " ended after " + Count(transfer.have) + " of " + Count(total) + ".");
  }
  return {transfer.ending, transfer.error.value_or(Error{}), transfer.resumed_at > 0};
}

}  // namespace

Status Download(const DownloadRequest& request, Observer* observer) {
  TIMBRE_CHECK(StartCurl());
  const fs::path part = WithSuffix(request.target, ".part"), tag_path = WithSuffix(request.target, ".part.tag");
  const auto discard = [&] {
    Remove(part);
    Remove(tag_path);
  };
  for (int left = request.attempts;; --left) {
    const Attempt attempt = Connect(request, part, tag_path, observer);
    bool again = false;
    Error error = attempt.error;
    switch (attempt.ending) {
      case Ending::kComplete: {
        if (!request.sha256.empty()) {
          TIMBRE_TRY(const std::string digest,
                     Sha256OfFile(part, [&] { return observer != nullptr && observer->Cancelled(); }));
          if (!digest.starts_with(request.sha256)) {
            error = Error{ErrorCode::kCorrupt, request.url + " is not the published file: its SHA-256 begins with " +
                                                   digest.substr(0, request.sha256.size()) + " and should be " +
                                                   request.sha256 + "."};
            discard();
            again = attempt.resumed;  // two halves that don't belong together: once more, from the start
            break;
          }
        }
        TIMBRE_CHECK(SyncToDisk(part));
        std::error_code failed;
        fs::rename(part, request.target, failed);
        if (failed)
          return Fail(ErrorCode::kIo, request.target.string() + " can't be written: " + failed.message() + ".");
        Remove(tag_path);
        return {};
      }
      case Ending::kBroken: again = true; break;
      case Ending::kStartOver:
        discard();
        again = true;
        break;
      case Ending::kFatal:
        if (error.code == ErrorCode::kCorrupt) discard();
        break;
    }
    if (!again || left <= 1) {
      if (FileBytes(part) <= 0) discard();
      return tl::unexpected<Error>(std::move(error));
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(request.pause_seconds));
  }
}

}  // namespace timbre
