#include "apps/server/app.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include "apps/server/kinds.h"
#include "apps/server/schemas.h"
#include "base/atomic_file.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/text.h"
#include "base/version.h"
#include "engine/ids.h"
#include "http/names.h"
#include "http/ranges.h"

namespace timbre::server {
namespace {

// What HTTP calls a problem of the engine's.
int StatusOf(const std::string& kind) {
  constexpr std::pair<std::string_view, int> kStatuses[] = {
      {"queue-full", 429}, {"disk-full", 507},  {"draining", 503},    {"conflict", 409},     {"invalid", 422},
      {"not-found", 404},  {"media-type", 415}, {"unsupported", 422}, {"input-output", 503},
  };
  for (const auto& [name, status] : kStatuses) {
    if (name == kind) return status;
  }
  return 500;
}

Result<std::string> ReadSmallFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(65536, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (!file.eof()) return Fail(ErrorCode::kIo, "'" + path + "' can't be read as a file of tokens.");
  return text;
}

}  // namespace

http::Response Refused(const engine::Problem& problem) {
  const int status = StatusOf(problem.kind);
  if (status == 500) return http::ProblemOf({ErrorCode::kInternal, problem.message});
  http::Response response = http::Problem(status, problem.kind, problem.message);
  if (status == 429 || status == 503) response.headers.Set("Retry-After", "5");
  if (status == 415) response.headers.Set("Accept-Post", "audio/*");
  return response;
}

http::Response Refused(const Error& error) { return Refused(engine::ProblemOf(error)); }

Json AssetJson(const engine::AssetRecord& asset) {
  const std::string self = "/v1/assets/" + asset.id;
  return {{"id", asset.id},
          {"name", asset.name},
          {"bytes", asset.bytes},
          {"media_type", asset.media_type},
          {"facts", asset.facts},
          {"created", engine::TimeText(asset.created)},
          {"links", {{"self", self}, {"data", self + "/data"}, {"peaks", self + "/peaks"}, {"pcm", self + "/pcm"}}}};
}

Result<std::unique_ptr<App>> App::Start(ServeSettings settings) {
  TIMBRE_TRY(const http::ListenAddress address, http::ParseListenAddress(settings.listen));
  std::unique_ptr<App> app(new App(std::move(settings)));
  TIMBRE_CHECK(MakeFolders(app->settings_.data));
  TIMBRE_CHECK(app->ReadTokens());
  engine::EngineSettings engine;
  engine.folder = app->settings_.data;
  engine.slots = app->settings_.slots;
  engine.worker = [command = app->settings_.worker](const engine::Slot&) { return command; };
  engine.order = OrderOf;
  engine.reserve_bytes = app->settings_.reserve_bytes;
  engine.quota_bytes = app->settings_.quota_bytes;
  engine.job_bytes = app->settings_.job_bytes;
  engine.keep_seconds = app->settings_.keep_seconds;
  engine.on_event = [&self = *app](engine::Engine& from, const engine::EventRecord& event) {
    self.OnEvent(from, event);
  };
  engine.on_progress = [&self = *app](engine::Engine& from, const std::string& job, const Json& progress) {
    self.OnProgress(from, job, progress);
  };
  TIMBRE_TRY(app->engine_, engine::Engine::Open(std::move(engine)));
  engine::PreviewSettings previews{.most_bytes = app->settings_.most_previews,
                                   .reserve_bytes = app->settings_.reserve_bytes,
                                   .changed = [&self = *app] {
                                     if (http::Server* server = self.notified_; server != nullptr) server->Notify();
                                   }};
  TIMBRE_TRY(app->previews_, engine::Previews::Open(app->engine_->assets(), std::move(previews)));
  TIMBRE_TRY(const auto range, app->engine_->journal().EventRange());
  {
    const std::lock_guard lock(app->events_mutex_);
    app->last_event_ = std::max(app->last_event_, range.second);
  }
  TIMBRE_TRY(auto sessions, app->engine_->journal().Sessions(engine::Now()));
  // A client that is no longer among the tokens has none.
  std::erase_if(sessions, [&](const auto& session) { return !app->tokens_.contains(session.second.client); });
  app->sessions_ = std::move(sessions);
  http::ServerSettings web;
  web.listen = app->settings_.listen;
  web.limits = app->settings_.limits;
  for (const std::string& host : app->settings_.allowed_hosts) web.guard.hosts.insert(host);
  web.guard.allow_origin = app->settings_.allowed_origin;
  web.guard.requests_per_second = app->settings_.requests_per_second;
  web.guard.client_of = [&self = *app](std::string_view token) { return self.ClientOf(token); };
  web.served = [&self = *app](const http::Served& served) { self.OnServed(served); };
  TIMBRE_TRY(app->server_, http::Server::Start(std::move(web), app->Routes()));
  app->notified_ = app->server_.get();
  return app;
}

App::~App() { Stop(0); }

void App::Stop(double grace_seconds) {
  if (engine_) engine_->Stop(grace_seconds);
  notified_ = nullptr;
  if (server_) server_->Stop();
  previews_.reset();  // it tells the server of what is there
}

Status App::ReadTokens() {
  std::string path = settings_.token_file;
  if (path.empty()) {
    path = settings_.data + "/token";
    if (access(path.c_str(), F_OK) != 0) {
      const mode_t old = umask(077);  // nobody else's to read at any moment
      auto file = AtomicFile::Create(path);
      Status made =
          file ? file->Write("local " + engine::NewToken() + "\n") : Status(tl::unexpected<Error>(file.error()));
      if (made) made = file->Commit(true);
      umask(old);
      TIMBRE_CHECK(made);
    }
  }
  TIMBRE_TRY(const std::string text, ReadSmallFile(path));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name, token, more;
    if (!(words >> name) || name.starts_with('#')) continue;
    if (!(words >> token) || words >> more || token.size() < 32 || token.size() > 256) {
      return Fail(ErrorCode::kInvalidArgument,
                  "'" + path + "': a line is a name and a token of 32 to 256 characters, and nothing else.");
    }
    if (!tokens_.emplace(Printable(name, 64), token).second) {
      return Fail(ErrorCode::kInvalidArgument, "'" + path + "': the name '" + Printable(name) + "' comes twice.");
    }
  }
  if (tokens_.empty()) return Fail(ErrorCode::kInvalidArgument, "'" + path + "' holds no token.");
  return {};
}

std::optional<std::string> App::ClientOf(std::string_view token) {
  // Digests are of one length and are all compared, so that the time taken tells nothing of the tokens.
  const std::string digest = engine::Sha256Of(token);
  std::optional<std::string> client;
  for (const auto& [name, known] : tokens_) {
    if (http::EqualInConstantTime(digest, engine::Sha256Of(known))) client = name;
  }
  if (client) return client;
  const std::lock_guard lock(sessions_mutex_);
  const auto found = sessions_.find(digest);
  if (found != sessions_.end() && found->second.expires > engine::Now()) client = found->second.client;
  return client;
}

http::Router App::Routes() {
  http::Router router;
  AddInfoRoutes(router);
  AddAssetRoutes(router);
  AddPreviewRoutes(router);
  AddUploadRoutes(router);
  AddJobRoutes(router);
  AddEventRoutes(router);
  AddProjectRoutes(router);
  AddDrumRoutes(router);
  AddWebRoutes(router);
  return router;
}

Json App::Description() {
  App app{ServeSettings{}};
  return app.Routes().OpenApi(Version(), Schemas());
}

void App::OnServed(const http::Served& served) {
  // A client may call its method anything.
  constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
  const bool known = std::find(std::begin(kMethods), std::end(kMethods), served.method) != std::end(kMethods);
  metrics_.Count(
      "timbre_http_requests_total",
      {{"route", served.route}, {"method", known ? served.method : "other"}, {"code", std::to_string(served.status)}});
  metrics_.Observe("timbre_http_seconds", {{"route", served.route}}, served.seconds);
  if (settings_.log) {
    settings_.log(fmt::format("{} {} {} {} {} {:.3f} s", served.peer, served.client.empty() ? "-" : served.client,
                              Printable(served.method, 16), Printable(served.path, 200), served.status,
                              served.seconds));
  }
}

http::Response App::ServeAsset(const http::Request& request, const std::string& id, const std::string& name) {
  const auto asset = engine_->journal().FindAsset(id);
  if (!asset) return Refused(asset.error());
  http::OwnedFile file(open(engine_->assets().PathOf(asset->id).c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return http::ProblemOf({ErrorCode::kInternal, "the file of asset " + asset->id + " is missing"});
  http::Response response =
      http::ServeFile(request, std::move(file), asset->bytes, "\"" + asset->id.substr(0, 32) + "\"", asset->media_type);
  const std::string shown = name.empty() ? asset->name : name;
  // What a browser shows by itself is sound and pictures; all else is a file to keep.
  const bool shows = asset->media_type.starts_with("audio/") || asset->media_type == "image/png";
  const bool wanted = request.query.contains("download");
  const std::string wish(request.QueryValue("download"));
  response.headers.Set("Content-Disposition",
                       shows && !wanted ? http::Inline(shown) : http::Attachment(wish.empty() ? shown : wish));
  if (response.status == 200 || response.status == 206 || response.status == 304) {
    response.headers.Set("Cache-Control", "private, max-age=31536000, immutable");
  }
  return response;
}

}  // namespace timbre::server
