// `timbre serve`: the engine's jobs over HTTP. One object, whose routes are declared in a file a subject: *_routes.cc.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "apps/server/metrics.h"
#include "base/result.h"
#include "engine/engine.h"
#include "engine/previews.h"
#include "http/problem.h"
#include "http/server.h"
#include "pipelines/drums/drums_config.h"
#include "pipelines/studio/timeline.h"

namespace timbre::server {

using Json = nlohmann::ordered_json;

struct DrumProject;

// The slot of jobs that fetch models: they compute nothing, and nothing that computes waits behind them.
inline constexpr const char* kNetwork = "network";

struct ServeSettings {
  std::string listen = "127.0.0.1:7433";
  std::string data;        // the folder
  std::string token_file;  // "NAME TOKEN" a line; empty: DATA/token, made where it is missing
  std::vector<engine::Slot> slots;
  std::vector<std::string> worker;  // the command of a worker
  std::vector<std::string> allowed_hosts;
  std::string allowed_origin;
  int64_t most_upload = int64_t{2} << 30;  // bytes
  int64_t reserve_bytes = int64_t{2} << 30, quota_bytes = 0;
  int64_t job_bytes = int64_t{1} << 30;      // engine.h
  int64_t most_previews = int64_t{4} << 30;  // bytes
  int64_t keep_seconds = 7 * 24 * 3600;
  int streams_of_client = 64;
  double requests_per_second = 50;
  http::Limits limits;
  std::function<void(const std::string& line)> log;  // a line a request
};

class App {
 public:
  static Result<std::unique_ptr<App>> Start(ServeSettings settings);
  ~App();

  int port() const { return server_->port(); }
  // The first token, for whoever started the server.
  const std::string& token() const { return tokens_.begin()->second; }
  // No new jobs; those that run get so many seconds.
  void Stop(double grace_seconds);

  // The description of the API, without a server.
  static Json Description();

 private:
  explicit App(ServeSettings settings) : settings_(std::move(settings)) {}
  Status ReadTokens();
  std::optional<std::string> ClientOf(std::string_view token);
  http::Router Routes();
  void AddInfoRoutes(http::Router& router);
  void AddJobRoutes(http::Router& router);
  void AddAssetRoutes(http::Router& router);
  void AddPreviewRoutes(http::Router& router);
  void AddUploadRoutes(http::Router& router);
  void AddEventRoutes(http::Router& router);
  void AddProjectRoutes(http::Router& router);
  void AddDrumRoutes(http::Router& router);
  void AddWebRoutes(http::Router& router);

  http::Response CreateJob(http::Request& request);
  http::Response Submit(const http::Request& request, engine::Submission submission);
  std::optional<http::Response> TakeOptionFiles(engine::Submission& submission, std::set<std::string>& taken);
  http::Response GetJob(http::Request& request);
  http::Response ListJobs(http::Request& request);
  http::Response ChangeJob(http::Request& request);
  http::Response JobFile(http::Request& request);
  http::Response JobZip(http::Request& request);
  http::Response MetricsPage();
  http::Response FetchModel(http::Request& request);
  http::Response CreateUpload(http::Request& request);
  http::Response PatchUpload(http::Request& request);
  http::Response TakeForm(const http::Request& request);
  http::OpenedBody OpenAsset(http::Request& request);
  http::OpenedBody OpenUpload(http::Request& request);
  // Null where a request has the upload already; else it is this one's for as long as it is held.
  std::shared_ptr<void> LockUpload(const std::string& id);
  http::Response FinishUpload(const engine::UploadRecord& upload, http::Response response);
  http::Response OpenEvents(http::Request& request);
  http::Response CreateProject(http::Request& request);
  http::Response CreateDrums(const Json& body);
  http::Response AddProject(engine::ProjectRecord project, const std::vector<std::string>& assets);
  http::Response ChangeProject(const engine::ProjectRecord& project, const engine::ProjectChange& change,
                               const Json& made = Json::object());
  http::Response RenameProject(http::Request& request);
  http::Response ExportProject(http::Request& request);
  http::Response ProjectZip(http::Request& request);
  http::Response ExportDrums(const http::Request& request, const engine::ProjectRecord& project, Json options);
  std::optional<http::Response> FindSound(const Json& body, engine::AssetRecord& sound);
  std::optional<http::Response> FindListening(const Json& body, engine::JobRecord& job);
  std::optional<http::Response> TakeHeard(const engine::JobRecord& job, DrumProject& drums);
  std::optional<http::Response> FindDrums(const http::Request& request, engine::ProjectRecord& project,
                                          DrumProject& drums);
  http::Response ChangeDrums(const http::Request& request,
                             const std::function<std::optional<http::Response>(DrumProject&)>& change);
  http::Response GetDrumsConfig(http::Request& request);
  http::Response PutDrumsConfig(http::Request& request);
  http::Response ResetDrumsConfig(http::Request& request);
  http::Response AddMix(http::Request& request);
  http::Response ListenToDrums(http::Request& request);
  http::Response GetStages(http::Request& request);
  Result<DrumsConfig> ConfigOf(const DrumProject& drums);
  // Of the project's jobs that the filter lets through the newest hundred, and the one that it began with, which
  // belongs to none.
  Result<std::vector<engine::JobRecord>> JobsOf(const engine::ProjectRecord& project, engine::JobFilter filter);
  Result<std::string> KeptText(const std::string& asset);
  // What was heard; the answer that says that nothing was.
  std::optional<http::Response> FindHeard(const DrumProject& drums, Json& heard);
  std::optional<http::Response> SetBeats(const Json& body, DrumProject& drums);
  Json JoinTimeline(const Timeline& timeline, std::vector<engine::JobInput>& inputs);
  http::Response OperateOnProject(http::Request& request);
  std::optional<http::Response> TryOperation(const http::Request& request, const Json& body);
  http::Response GetPeaks(http::Request& request);
  http::Response GetPcm(http::Request& request);
  http::Response ServeAsset(const http::Request& request, const std::string& id, const std::string& name);

  Json Survey();
  Json JobJson(const engine::JobRecord& job);
  // From the engine's threads, maybe before there is `engine_`.
  void OnEvent(engine::Engine& engine, const engine::EventRecord& event);
  void OnProgress(engine::Engine& engine, const std::string& job, const Json& progress);
  void Measure(engine::Engine& engine, const engine::EventRecord& event);
  void OnServed(const http::Served& served);

  const ServeSettings settings_;
  std::map<std::string, std::string> tokens_;  // by name
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<engine::Previews> previews_;
  std::atomic<http::Server*> notified_{nullptr};

  std::mutex sessions_mutex_;
  std::map<std::string, engine::SessionRecord> sessions_;  // by the token's SHA-256; guarded by sessions_mutex_

  struct Subscriber {
    std::shared_ptr<http::EventStream> stream;
    std::string client, job, project;
    bool Wants(const std::string& of_job, const std::string& of_project) const {
      return (job.empty() || job == of_job) && (project.empty() || project == of_project);
    }
  };
  std::mutex events_mutex_;
  std::vector<Subscriber> subscribers_;  // guarded by events_mutex_
  int64_t last_event_ = 0;               // that subscribers were told; guarded by events_mutex_

  std::mutex uploads_mutex_;
  std::set<std::string> active_uploads_;  // being written; guarded by uploads_mutex_

  std::mutex survey_mutex_;
  Json survey_;                                     // guarded by survey_mutex_, as is the next
  std::chrono::steady_clock::time_point surveyed_;  // when

  Metrics metrics_;
  std::mutex cancels_mutex_;
  std::map<std::string, int64_t> cancels_;  // when which job was asked to end; guarded by cancels_mutex_
  std::atomic<int64_t> upload_bytes_{0};

  std::unique_ptr<http::Server> server_;
};

// A problem of the engine's as an answer.
http::Response Refused(const engine::Problem& problem);
http::Response Refused(const Error& error);

// {"error", …} members of what clients are told.
Json AssetJson(const engine::AssetRecord& asset);
Json OutputJson(const engine::JobOutput& output);

}  // namespace timbre::server
