// A server of jobs, from its client's side.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "apps/cli/terminal.h"
#include "base/atomic_file.h"
#include "base/fields.h"
#include "base/result.h"

namespace timbre::cli {

// --server and --token-file.
struct RemoteOptions {
  std::string server, token_file;
  // A client's, whose server is TIMBRE_SERVER or this user's own unless it is named.
  FieldList Fields();
  // Of a command that computes here unless a server is named.
  FieldList FieldsOfJob();
};

class Remote {
 public:
  using Json = nlohmann::ordered_json;

  // Finds the token: in the file, in TIMBRE_TOKEN, or of a server of this user on this machine. Asks the server for
  // nothing yet.
  static Result<Remote> Open(const RemoteOptions& options, Terminal& terminal);
  ~Remote();
  Remote(Remote&&) noexcept;

  // The JSON of an answer, null where there is none. What the server refuses is an error in its words; where it can't
  // be reached, kIo.
  Result<Json> Ask(const std::string& method, const std::string& path, const Json& body = nullptr,
                   const std::string& header = "");
  // The id of the file's asset. A file that the server has already is sent all the same.
  Result<std::string> Upload(const std::string& path);
  Status Download(const std::string& path, AtomicFile& file);
  // Waits until the job has ended, by its events, and shows how far it is. A server that can't be reached is asked
  // again for a minute.
  Result<Json> Wait(const std::string& job);
  // The job's files below `folder`, or where `places` has a path for their name, all or none, and their paths; the
  // error of a job that did not succeed.
  Result<std::vector<std::string>> Fetch(const Json& job, const std::string& folder,
                                         const std::map<std::string, std::string>& places = {});

 private:
  struct Connection;
  explicit Remote(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> connection_;
};

}  // namespace timbre::cli
