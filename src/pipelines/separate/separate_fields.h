// The options of separation as fields: for the command line, the help, validation and reports.
#pragma once

#include "base/fields.h"
#include "pipelines/separate/separate.h"

namespace timbre {

// All but `session` and `made_by`. `options` must outlive the fields.
FieldList SeparateFields(SeparateOptions& options);

// A folder for what lies on disk only meanwhile.
Field TempField(std::string& temp_dir);

// Whether tags are copied.
Field TagsField(bool& tags);

// What files are written as: for every task that writes some. The arguments outlive the fields.
FieldList FileFields(std::string& format, std::string& sample_format, std::string& clip, int& bitrate);

}  // namespace timbre
