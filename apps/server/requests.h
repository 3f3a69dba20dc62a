// What handlers read of a request, and say of it.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "apps/server/app.h"

namespace timbre::server {

// 422 for a member of the body.
http::Response Invalid(const std::string& pointer, const std::string& message);

// Refuses members that are none.
std::optional<http::Response> CheckMembers(const Json& json, const std::vector<std::string>& known);

// The body, an object of no other members than `known`; the answer that refuses it otherwise.
std::optional<http::Response> ReadBody(const http::Request& request, const std::vector<std::string>& known, Json& body);

// The options of a job, an object where there are none, from a body that has nothing else; likewise.
std::optional<http::Response> ReadOptions(const http::Request& request, Json& options);

// A name that no other of those in `taken` has, and which is among them then: "name (2).wav".
std::string UniqueName(std::string name, std::set<std::string>& taken);

// ?limit=, of 1 to 100; nothing where it is no such number.
std::optional<int> LimitOf(const http::Request& request);
http::Response WrongLimit();

}  // namespace timbre::server
