// A separation model made steadier by what it makes of the same sound in other guises.
#pragma once

#include <memory>

#include "models/separate/separation_model.h"

namespace timbre {

// The mean of three runs: of the tile as it is, of its channels exchanged (and back), and of its polarity inverted (and
// back). Three times the work and the memory. kInvalidArgument for what is no network of two channels.
Result<std::shared_ptr<const SeparationModel>> Augmented(std::shared_ptr<const SeparationModel> model);

}  // namespace timbre
