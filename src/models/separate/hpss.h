// Harmonic/percussive separation by median filters (dsp/harmonic_share.h): an algorithm, no network.
#pragma once

#include <memory>

#include "models/separate/separation_model.h"

namespace timbre {

// Two stems, "harmonic" and "percussive", which sum to the mix.
std::shared_ptr<const SeparationModel> MakeHpss();

}  // namespace timbre
