// A sink for what a library wants to tell: the application decides where it goes. The library itself never prints.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace timbre {

enum class LogLevel { kDebug, kInfo, kWarning };

using LogSink = std::function<void(LogLevel, std::string_view)>;

// Replaces the process-wide sink (the one global of the library). Thread-safe; an empty sink drops everything.
void SetLogSink(LogSink sink);
void Log(LogLevel level, std::string_view message);

}  // namespace timbre
