// Which part of their inputs jobs compute: --start and --duration.
#pragma once

#include <string>

#include "audio/decode.h"
#include "base/fields.h"
#include "base/result.h"

namespace timbre {

// Times as people write them: "90", "1:30", "1:02:03.5"; empty where none was given.
struct PartOptions {
  std::string start;     // from the begin of the input
  std::string duration;  // empty: to its end
};

// `part` must outlive the fields.
FieldList PartFields(PartOptions& part);

// kInvalidArgument where a text is no time, or the part is empty.
Result<AudioPart> ParsePart(const PartOptions& part);

}  // namespace timbre
