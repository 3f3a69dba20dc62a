// Sound to the standard output: what --stdout takes, and what it leaves without effect.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"
#include "base/result.h"

namespace timbre {

// Has each of `fields` that `names` lists be without effect while `streams()` holds: the names and folders of files.
void IdleWhere(const std::function<bool()>& streams, const std::vector<std::string_view>& names, FieldList& fields);

// One input, and a format that is written from front to end.
Status CheckStream(const std::string& format, size_t inputs);

}  // namespace timbre
