// The options of separation as fields: for the command line, the help, validation and reports.
#pragma once

#include "base/fields.h"
#include "pipelines/separate/separate.h"

namespace timbre {

// All but `session` and `made_by`. `options` must outlive the fields.
FieldList SeparateFields(SeparateOptions& options);

}  // namespace timbre
