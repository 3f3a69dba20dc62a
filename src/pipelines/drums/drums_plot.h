// A picture of a drum analysis.
#pragma once

#include <string>

#include "base/result.h"
#include "pipelines/drums/drums.h"

namespace timbre {

class OutputSet;

// Each stem's waveform with its hits (kept ones in the colour of their voice, as high as they are loud; rejected ones
// as small grey crosses) over the beats and bars. The extension of `path` says which: .png or .svg. `title` is UTF-8
// text.
Status PlotDrums(const DrumAnalysis& analysis, const std::string& title, const std::string& path,
                 OutputSet* outputs = nullptr);

}  // namespace timbre
