// The style of a song, from a vector, from sound, from words, or from both.
#pragma once

#include <vector>

#include "pipelines/song/song.h"
#include "runtime/session/stats.h"

namespace timbre {

// kStyleFeatures numbers. Errors: files, models and sounds that can't be read.
Result<std::vector<float>> StyleOf(const SongOptions& options, ThreadPool& pool, Stats& stats);

}  // namespace timbre
