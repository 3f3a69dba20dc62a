#include "audio/ffmpeg_process.h"

#include <cstdarg>
#include <cstring>
#include <mutex>
#include <string_view>

#include "audio/ffmpeg.h"
#include "base/log.h"
#include "base/text.h"

namespace timbre {
namespace {

constexpr size_t kMaxAllocation = size_t{1} << 28;

void LogFromFfmpeg(void* object, int level, const char* format, va_list arguments) {
  if (level > AV_LOG_WARNING) return;
  char line[512];
  int prefix = 1;
  av_log_format_line2(object, level, format, arguments, line, sizeof(line), &prefix);
  Log(LogLevel::kDebug, Printable(std::string_view(line, std::strcspn(line, "\n")), sizeof(line)));
}

std::mutex mutex;
bool asked = false, loaded = false;  // under the mutex

void SetUpIfBoth() {
  if (!asked || !loaded) return;
  av_log_set_callback(LogFromFfmpeg);
  av_max_alloc(kMaxAllocation);
}

}  // namespace

void SetUpFfmpegForProgram() {
  const std::scoped_lock lock(mutex);
  asked = true;
  SetUpIfBoth();
}

void FfmpegIsLoaded() {
  const std::scoped_lock lock(mutex);
  loaded = true;
  SetUpIfBoth();
}

}  // namespace timbre
