#include "pipelines/check_finite.h"

#include <string>

#include "base/mapped_file.h"
#include "dsp/arrays.h"

namespace timbre {

Status CheckFinite(std::span<const float> values, std::string_view otherwise) {
  if (AllFinite(values.data(), static_cast<int64_t>(values.size()))) return {};
  TIMBRE_CHECK(CheckMappedFiles());
  return Fail(ErrorCode::kKernelFailed, std::string(otherwise));
}

}  // namespace timbre
