// What handlers read of a request, and say of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/server/app.h"

namespace timbre::server {

// 422 for a member of the body.
http::Response Invalid(const std::string& pointer, const std::string& message);

// Refuses members that are none.
std::optional<http::Response> CheckMembers(const Json& json, const std::vector<std::string>& known);

// ?limit=, of 1 to 100; nothing where it is no such number.
std::optional<int> LimitOf(const http::Request& request);
http::Response WrongLimit();

}  // namespace timbre::server
