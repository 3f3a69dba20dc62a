// Files: brought in one request, listed, given back.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "apps/server/app.h"
#include "apps/server/form_sink.h"
#include "apps/server/requests.h"
#include "base/text.h"
#include "engine/ids.h"
#include "http/names.h"
#include "http/tus.h"

namespace timbre::server {
namespace {

std::string NameOf(const http::Request& request) {
  if (const std::string_view name = request.QueryValue("name"); !name.empty()) return http::SafeFileName(name);
  const std::string named = http::NameFromDisposition(request.Header("Content-Disposition"));
  return named.empty() ? "unnamed" : named;
}

bool IsForm(const http::Request& request) {
  constexpr std::string_view kForm = "multipart/form-data";
  return EqualIgnoringCase(request.Header("Content-Type").substr(0, kForm.size()), kForm);
}

}  // namespace

// The files of a form: all of them, or nothing and why.
http::Response App::TakeForm(const http::Request& request) {
  auto& form = static_cast<FormSink&>(*request.sink);
  if (const Status closed = form.Close(); !closed) {
    if (closed.error().code != ErrorCode::kInvalidArgument) return Refused(closed.error());
    return http::Problem(400, "form", closed.error().message);
  }
  if (form.files().empty()) return http::Problem(422, "invalid", "the form has no file: its field is called 'file'.");
  Json assets = Json::array();
  std::string location;
  for (FormSink::File& file : form.files()) {
    upload_bytes_ += file.sink->written();
    const auto asset = engine_->AddAsset(file.sink->Release(), file.name);
    if (!asset) return Refused(asset.error());
    assets.push_back(AssetJson(*asset));
    location = "/v1/assets/" + asset->id;
  }
  const bool one = assets.size() == 1;
  http::Response response = http::Json(201, one ? assets[0] : Json{{"assets", assets}});
  if (one) response.headers.Set("Location", location);
  return response;
}

http::OpenedBody App::OpenAsset(http::Request& request) {
  const int64_t length = std::max<int64_t>(0, http::ParseUploadNumber(request.Header("Content-Length")));
  if (const auto room = engine_->CheckRoom(length); !room) return {nullptr, Refused(room.error())};
  if (IsForm(request)) {
    const auto boundary = http::MultipartReader::BoundaryOf(request.Header("Content-Type"));
    if (!boundary) return {nullptr, http::Problem(400, "form", boundary.error().message)};
    return {std::make_shared<FormSink>(*boundary, [this] { return engine_->assets().TemporaryPath(); }), {}};
  }
  auto sink = std::make_shared<FileSink>(engine_->assets().TemporaryPath(), 0);
  if (!sink->status()) return {nullptr, Refused(sink->status().error())};
  return {std::move(sink), {}};
}

void App::AddAssetRoutes(http::Router& router) {
  router.Add({.method = "POST",
              .pattern = "/v1/assets",
              .name = "createAsset",
              .summary =
                  "A file of sound, MIDI, tensors (.safetensors) or pictures, as the body, its name in ?name= or "
                  "Content-Disposition; or a form with files in fields called 'file'",
              .query = {{"name", "string", "the file's name"}},
              .body = http::BodyKind::kStream,
              .most_body = static_cast<size_t>(settings_.most_upload),
              .takes = "audio/*",
              .gives = "NewAssets",
              .statuses = {201, 400, 413, 415, 422, 507},
              .handler =
                  [this](http::Request& request) {
                    if (IsForm(request)) return TakeForm(request);
                    auto& sink = static_cast<FileSink&>(*request.sink);
                    if (const Status closed = sink.Close(); !closed) return Refused(closed.error());
                    upload_bytes_ += sink.written();
                    const std::string path = sink.Release();
                    const auto asset = engine_->AddAsset(path, NameOf(request));
                    if (!asset) return Refused(asset.error());
                    http::Response response = http::Json(201, AssetJson(*asset));
                    response.headers.Set("Location", "/v1/assets/" + asset->id);
                    return response;
                  },
              .open_body = [this](http::Request& request) { return OpenAsset(request); }});
  router.Add({.method = "GET",
              .pattern = "/v1/assets",
              .name = "listAssets",
              .summary = "Files, the newest first",
              .query = {{"cursor", "string", "the last id of the page before"}, {"limit", "integer", "of 1 to 100"}},
              .gives = "Assets",
              .statuses = {200, 422},
              .handler = [this](http::Request& request) {
                const auto limit = LimitOf(request);
                if (!limit) return WrongLimit();
                const auto assets = engine_->journal().ListAssets(std::string(request.QueryValue("cursor")), *limit);
                if (!assets) return Refused(assets.error());
                Json list = Json::array();
                for (const engine::AssetRecord& asset : *assets) list.push_back(AssetJson(asset));
                http::Response response = http::Json(200, {{"assets", list}});
                if (static_cast<int>(assets->size()) == *limit) {
                  response.headers.Set("Link", "</v1/assets?limit=" + std::to_string(*limit) +
                                                   "&cursor=" + assets->back().id + ">; rel=\"next\"");
                }
                return response;
              }});
  router.Add({.method = "GET",
              .pattern = "/v1/assets/{id}",
              .name = "getAsset",
              .summary = "What is known of a file",
              .gives = "Asset",
              .statuses = {200, 404},
              .handler = [this](http::Request& request) {
                const auto asset = engine_->journal().FindAsset(request.Captured("id"));
                return asset ? http::Json(200, AssetJson(*asset)) : Refused(asset.error());
              }});
  router.Add({.method = "DELETE",
              .pattern = "/v1/assets/{id}",
              .name = "deleteAsset",
              .summary = "Forgets a file that no job has",
              .statuses = {204, 404, 409},
              .handler = [this](http::Request& request) {
                const auto removed = engine_->RemoveAsset(request.Captured("id"));
                return removed ? http::Response{.status = 204} : Refused(removed.error());
              }});
  router.Add({.method = "GET",
              .pattern = "/v1/assets/{id}/data",
              .name = "getAssetData",
              .summary = "A file's bytes, or a range of them",
              .query = {{"download", "string", "as a file to keep, under that name"}},
              .gives = "application/octet-stream",
              .statuses = {200, 206, 304, 404, 412, 416},
              .handler = [this](http::Request& request) { return ServeAsset(request, request.Captured("id"), ""); }});
}

}  // namespace timbre::server
