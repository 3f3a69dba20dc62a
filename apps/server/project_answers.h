// What routes of projects answer and ask of a request, whatever the kind of project.
#pragma once

#include <optional>
#include <string>

#include "apps/server/app.h"

namespace timbre::server {

inline constexpr char kDrums[] = "drums";  // a kind of project; the other is "timeline"

// The revision as a validator.
std::string EtagOf(const engine::ProjectRecord& project);
http::Response WithRevision(http::Response response, const engine::ProjectRecord& project);

// 412: somebody else was faster.
http::Response Changed();

// What has to be known before a project may be changed (If-Match): nothing where it may.
std::optional<http::Response> CheckPrecondition(const http::Request& request, const engine::ProjectRecord& project);

// As clients see it; `whole`: with what is in it.
Json ProjectJson(const engine::ProjectRecord& project, bool whole);

// A name, from the body; the answer that refuses it otherwise.
std::optional<http::Response> ReadName(const Json& body, std::optional<std::string>& name);

// A fragment of the library's as the sentence that clients get.
std::string Sentence(std::string text);

}  // namespace timbre::server
