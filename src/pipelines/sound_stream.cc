#include "pipelines/sound_stream.h"

#include <algorithm>
#include <utility>

#include "audio/encode.h"

namespace timbre {

void IdleWhere(const std::function<bool()>& streams, const std::vector<std::string_view>& names, FieldList& fields) {
  for (Field& field : fields) {
    if (std::find(names.begin(), names.end(), field.name) == names.end()) continue;
    field.idle = [streams, idle = std::move(field.idle)]() -> std::string {
      if (streams()) return "--stdout writes one stream and no file";
      return idle ? idle() : "";
    };
  }
}

Status CheckStream(const std::string& format, size_t inputs) {
  if (inputs > 1) {
    return Fail(ErrorCode::kInvalidArgument,
                "--stdout writes one stream, and there are " + std::to_string(inputs) + " inputs; give one.");
  }
  TIMBRE_TRY(const FileFormat parsed, ParseFileFormat(format));
  if (CanStream(parsed)) return {};
  return Fail(ErrorCode::kInvalidArgument,
              "--stdout cannot write " + format +
                  ", whose files begin with what is known at their end; choose --format wav, flac, ogg or opus.");
}

}  // namespace timbre
