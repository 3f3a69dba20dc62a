// What a server answers, as one table: the router, and the OpenAPI description made from it.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "http/message.h"

namespace timbre::http {

// What a body is opened as: where its bytes go, or, without a sink, the answer that refuses them.
struct OpenedBody {
  std::shared_ptr<BodySink> sink;
  Response refusal;
};

enum class BodyKind : uint8_t {
  kNone,    // one that comes all the same is read and forgotten
  kJson,    // whole, in Request::body; the Content-Type has to say so
  kText,    // whole, in Request::body, whatever it says it is
  kStream,  // into a sink
};

struct QueryParameter {
  std::string name;
  std::string type;  // of JSON Schema: string, integer, boolean
  std::string summary;
};

struct Route {
  std::string method;   // GET answers HEAD too
  std::string pattern;  // "/v1/jobs/{id}": a name in braces stands for a segment
  std::string name;     // of the operation, and of its row in metrics: "getJob"
  std::string summary;
  bool open = false;      // no token is needed
  bool described = true;  // in the OpenAPI description
  std::vector<QueryParameter> query = {};
  BodyKind body = BodyKind::kNone;
  size_t most_body = 0;    // bytes
  std::string takes = {};  // the schema of a JSON body
  std::string gives = {};  // the schema of the JSON answer, or a media type where it has a '/'; empty: no content
  std::vector<int> statuses = {200};  // besides those that any route may answer
  std::string also_gives = {};        // a media type that an answer may have instead
  bool problems = true;               // an answer of 400 or more is a problem; else it is what others are
  std::function<Response(Request&)> handler;
  std::function<OpenedBody(Request&)> open_body = {};  // of kStream
};

class Router {
 public:
  void Add(Route route) { routes_.push_back(std::move(route)); }

  struct Match {
    const Route* route = nullptr;      // null: none of this path and method
    std::vector<std::string> allowed;  // methods of this path; empty: there is no such path
    std::map<std::string, std::string, std::less<>> captured;
  };
  // `path` as it was sent. A segment whose escapes are wrong matches nothing.
  Match Find(std::string_view method, std::string_view path) const;

  // OpenAPI 3.1 of all routes; `schemas` are what they name.
  nlohmann::ordered_json OpenApi(const std::string& version, const nlohmann::ordered_json& schemas) const;

  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace timbre::http
