// Drawings as files.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

typedef struct _cairo cairo_t;  // NOLINT: as in <cairo.h>, which who includes this need not have

namespace timbre {

class OutputSet;

// An error where `path` ends neither in .png nor in .svg, which is what says how a picture is written.
Status CheckPicturePath(const std::string& path);

// What `draw` draws, `width` by `height` pixels (at most 32767 each). The file appears when it is complete, with
// `outputs` together with those.
Status WritePicture(const std::string& path, double width, double height, const std::function<void(cairo_t*)>& draw,
                    OutputSet* outputs = nullptr);

}  // namespace timbre
