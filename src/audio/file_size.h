// How large files of sound will be.
#pragma once

#include <cstdint>

#include "audio/encode.h"

namespace timbre {

// Bytes of `frames` written with `options`: of WAV what it takes, of FLAC and ALAC the most that it takes, of the
// others what their bit rate says.
int64_t ExpectedFileBytes(const WriteOptions& options, int64_t frames, int sample_rate, int channels);

}  // namespace timbre
