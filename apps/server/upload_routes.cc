// Uploads that survive a connection, and a server: tus 1.0.0, with creation, creation-with-upload, checksum, expiration
// and termination (tus.io/protocols/resumable-upload). How far one is, is its file's size.
#include <unistd.h>

#include <algorithm>

#include "apps/server/app.h"
#include "apps/server/file_sink.h"
#include "base/files.h"
#include "base/log.h"
#include "base/sha256.h"
#include "engine/ids.h"
#include "http/names.h"
#include "http/tus.h"

namespace timbre::server {
namespace {

constexpr int64_t kKeepSeconds = 24 * 3600;
constexpr size_t kMostOfAClient = 4;  // unfinished
constexpr char kPieceType[] = "application/offset+octet-stream";

// Goes on with an upload's file, which stays whatever happens; what was checked and is wrong is taken back.
class UploadSink final : public http::BodySink {
 public:
  UploadSink(const std::string& path, int64_t from, std::shared_ptr<void> lock)
      : lock_(std::move(lock)), file(path, from), offset(from) {
    (void)file.Release();
  }
  Status Write(std::string_view bytes) override { return file.Write(bytes); }

 private:
  const std::shared_ptr<void> lock_;  // outlives the file

 public:
  FileSink file;
  const int64_t offset;
};

http::Response Locked() { return http::Problem(423, "locked", "another request is writing to this upload."); }

http::Response WithTus(http::Response response) {
  response.headers.Set("Tus-Resumable", "1.0.0");
  return response;
}

// The protocol wants to be named, except where it is asked for.
std::optional<http::Response> CheckVersion(const http::Request& request) {
  if (request.Header("Tus-Resumable") == "1.0.0") return std::nullopt;
  http::Response refused = http::Problem(412, "tus", "uploads are spoken in tus 1.0.0: 'Tus-Resumable: 1.0.0'.");
  refused.headers.Set("Tus-Version", "1.0.0");
  return WithTus(std::move(refused));
}

// The SHA-256 of a file from `offset` on.
Result<std::string> DigestFrom(const std::string& path, int64_t offset, const std::string& copy) {
  if (offset == 0) return Sha256OfFile(path);
  FILE* const file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return Fail(ErrorCode::kIo, "the upload can't be read.");
  FileSink tail(copy, 0);
  (void)fseeko(file, offset, SEEK_SET);
  std::string buffer(size_t{1} << 20, '\0');
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), file)) (void)tail.Write({buffer.data(), n});
  std::fclose(file);
  if (!tail.status()) return tl::unexpected<Error>(tail.status().error());
  return Sha256OfFile(copy);
}

}  // namespace

std::shared_ptr<void> App::LockUpload(const std::string& id) {
  const std::lock_guard lock(uploads_mutex_);
  if (!active_uploads_.insert(id).second) return nullptr;
  return {this, [id](void* self) {
            App& app = *static_cast<App*>(self);
            const std::lock_guard end(app.uploads_mutex_);
            app.active_uploads_.erase(id);
          }};
}

http::OpenedBody App::OpenUpload(http::Request& request) {
  const auto refuse = [](http::Response response) { return http::OpenedBody{nullptr, WithTus(std::move(response))}; };
  if (auto refused = CheckVersion(request); refused) return {nullptr, *std::move(refused)};
  engine::UploadRecord upload;
  std::shared_ptr<void> lock;
  int64_t offset = 0;
  const bool creates = request.method == "POST";
  const bool brings = request.Header("Content-Type") == kPieceType;
  if (creates) {
    upload = {.id = engine::NewId(),
              .client = request.client,
              .name = "unnamed",
              .length = http::ParseUploadNumber(request.Header("Upload-Length")),
              .expires = engine::Now() + kKeepSeconds * 1000000};
    if (upload.length < 0) return refuse(http::Problem(400, "tus", "Upload-Length is missing, or no number."));
    if (upload.length > settings_.most_upload) {
      return refuse(http::Problem(
          413, "too-large",
          "the upload is larger than this server takes: " + std::to_string(settings_.most_upload) + " bytes."));
    }
    const auto metadata = http::ParseUploadMetadata(request.Header("Upload-Metadata"));
    if (!metadata) return refuse(http::Problem(400, "tus", "Upload-Metadata is malformed."));
    if (const auto name = metadata->find("filename"); name != metadata->end()) {
      upload.name = http::SafeFileName(name->second);
    }
    const auto uploads = engine_->journal().Uploads();
    if (!uploads) return refuse(Refused(uploads.error()));
    const auto own = std::count_if(uploads->begin(), uploads->end(),
                                   [&](const engine::UploadRecord& other) { return other.client == request.client; });
    if (own >= static_cast<int64_t>(kMostOfAClient)) {
      return refuse(
          Refused(engine::Problem{"queue-full", "four uploads are unfinished already; finish or delete one."}));
    }
    if (const auto room = engine_->CheckRoom(upload.length); !room) return refuse(Refused(room.error()));
    // The file first: an upload without one would look lost.
    FileSink empty(engine_->assets().UploadPath(upload.id), 0);
    if (!empty.status()) return refuse(Refused(empty.status().error()));
    if (const Status added = engine_->journal().AddUpload(upload); !added) return refuse(Refused(added.error()));
    (void)empty.Release();
    request.captured["id"] = upload.id;
    lock = LockUpload(upload.id);
  } else {
    // Before it is looked at: how far it is, or that it is at all, another request may change until then.
    lock = LockUpload(request.Captured("id"));
    if (lock == nullptr) return refuse(Locked());
    const auto found = engine_->journal().FindUpload(request.Captured("id"));
    if (!found) return refuse(Refused(found.error()));
    upload = *found;
    if (!brings) {
      http::Response refused = http::Problem(415, "media-type", "a piece is sent as application/offset+octet-stream.");
      return refuse(std::move(refused));
    }
    offset = std::max<int64_t>(0, FileBytes(engine_->assets().UploadPath(upload.id)));
    if (http::ParseUploadNumber(request.Header("Upload-Offset")) != offset) {
      return refuse(http::Problem(409, "conflict", "the upload is at byte " + std::to_string(offset) + "."));
    }
  }
  const int64_t length = std::max<int64_t>(0, http::ParseUploadNumber(request.Header("Content-Length")));
  if (brings && length > upload.length - offset) {
    return refuse(http::Problem(413, "too-large", "the piece is longer than what is missing."));
  }
  return {std::make_shared<UploadSink>(engine_->assets().UploadPath(upload.id), offset, std::move(lock)), {}};
}

http::Response App::FinishUpload(const engine::UploadRecord& upload, http::Response response) {
  const std::string path = engine_->assets().UploadPath(upload.id);
  const auto asset = engine_->AddAsset(path, upload.name);
  if (const Status removed = engine_->journal().RemoveUpload(upload.id); !removed) return Refused(removed.error());
  if (!asset) return Refused(asset.error());
  response.headers.Set("Timbre-Asset", asset->id);
  return response;
}

http::Response App::PatchUpload(http::Request& request) {
  auto& sink = static_cast<UploadSink&>(*request.sink);
  const std::string id = request.Captured("id"), path = engine_->assets().UploadPath(id);
  const auto upload = engine_->journal().FindUpload(id);
  if (!upload) return Refused(upload.error());
  if (const Status closed = sink.file.Close(); !closed) return Refused(closed.error());
  upload_bytes_ += sink.file.written();
  const auto take_back = [&] { (void)truncate(path.c_str(), sink.offset); };
  int64_t offset = FileBytes(path);
  if (offset > upload->length) {  // of a body whose length was not told
    take_back();
    return http::Problem(413, "too-large", "the piece is longer than what is missing.");
  }
  if (const std::string_view header = request.Header("Upload-Checksum"); !header.empty()) {
    const auto wanted = http::ParseUploadChecksum(header);
    if (!wanted) {
      take_back();
      return http::Problem(400, "tus", "Upload-Checksum is malformed; sha256 is known here.");
    }
    const auto digest = DigestFrom(path, sink.offset, engine_->assets().TemporaryPath());
    if (!digest) return Refused(digest.error());
    if (*digest != *wanted) {
      take_back();
      return http::Problem(460, "checksum", "the piece is not what its Upload-Checksum says; send it again.");
    }
  }
  http::Response response{.status = request.method == "POST" ? 201 : 204};
  if (request.method == "POST") response.headers.Set("Location", "/v1/uploads/" + id);
  response.headers.Set("Upload-Offset", std::to_string(offset));
  if (offset == upload->length) return FinishUpload(*upload, std::move(response));
  return response;
}

void App::AddUploadRoutes(http::Router& router) {
  router.Add({.method = "OPTIONS",
              .pattern = "/v1/uploads",
              .name = "getUploadOptions",
              .summary = "What of tus is spoken here",
              .open = true,
              .statuses = {204},
              .handler = [this](http::Request&) {
                http::Response response{.status = 204};
                response.headers.Set("Tus-Version", "1.0.0");
                response.headers.Set("Tus-Extension", "creation,creation-with-upload,checksum,expiration,termination");
                response.headers.Set("Tus-Checksum-Algorithm", "sha256");
                response.headers.Set("Tus-Max-Size", std::to_string(settings_.most_upload));
                return WithTus(std::move(response));
              }});
  const auto patch = [this](http::Request& request) { return WithTus(PatchUpload(request)); };
  const auto open = [this](http::Request& request) { return OpenUpload(request); };
  router.Add({.method = "POST",
              .pattern = "/v1/uploads",
              .name = "createUpload",
              .summary = "Begins an upload (tus 1.0.0)",
              .body = http::BodyKind::kStream,
              .most_body = static_cast<size_t>(settings_.most_upload),
              .takes = kPieceType,
              .statuses = {201, 400, 412, 413, 415, 429, 507},
              .handler = patch,
              .open_body = open});
  router.Add({.method = "PATCH",
              .pattern = "/v1/uploads/{id}",
              .name = "patchUpload",
              .summary = "Goes on with an upload; the answer to the last piece has the asset in Timbre-Asset",
              .body = http::BodyKind::kStream,
              .most_body = static_cast<size_t>(settings_.most_upload),
              .takes = kPieceType,
              .statuses = {204, 404, 409, 412, 413, 415, 423, 460},
              .handler = patch,
              .open_body = open});
  router.Add({.method = "HEAD",
              .pattern = "/v1/uploads/{id}",
              .name = "headUpload",
              .summary = "How far an upload is",
              .statuses = {200, 404, 412},
              .handler = [this](http::Request& request) {
                if (auto refused = CheckVersion(request); refused) return *std::move(refused);
                const auto upload = engine_->journal().FindUpload(request.Captured("id"));
                if (!upload) return WithTus(Refused(upload.error()));
                http::Response response;
                const int64_t offset = FileBytes(engine_->assets().UploadPath(upload->id));
                response.headers.Set("Upload-Offset", std::to_string(std::max<int64_t>(0, offset)));
                response.headers.Set("Upload-Length", std::to_string(upload->length));
                return WithTus(std::move(response));
              }});
  router.Add({.method = "DELETE",
              .pattern = "/v1/uploads/{id}",
              .name = "deleteUpload",
              .summary = "Gives an upload up",
              .statuses = {204, 404, 412, 423},
              .handler = [this](http::Request& request) {
                if (auto refused = CheckVersion(request); refused) return *std::move(refused);
                const std::shared_ptr<void> lock = LockUpload(request.Captured("id"));
                if (lock == nullptr) return WithTus(Locked());
                const auto upload = engine_->journal().FindUpload(request.Captured("id"));
                if (!upload) return WithTus(Refused(upload.error()));
                if (const Status removed = engine_->journal().RemoveUpload(upload->id); !removed) {
                  return WithTus(Refused(removed.error()));
                }
                unlink(engine_->assets().UploadPath(upload->id).c_str());
                return WithTus(http::Response{.status = 204});
              }});
}

}  // namespace timbre::server
