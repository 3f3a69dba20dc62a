// Harmonic/percussive separation by median filters with soft masks (Fitzgerald, "Harmonic/percussive separation using
// median filtering", DAFx 2010): an algorithm, no network. What sounds long is flat along time in the spectrogram, what
// sounds short is flat along frequency.
#pragma once

#include <memory>

#include "models/separate/separation_model.h"

namespace timbre {

// Two stems, "harmonic" and "percussive", which sum to the mix.
std::shared_ptr<const SeparationModel> MakeHpss();

}  // namespace timbre
