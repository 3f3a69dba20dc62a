// What a checkpoint's numbers must be like, whatever network they are of.
#pragma once

#include "graph/weights.h"

namespace timbre {

// kCorrupt, naming the weight and its element, where one is NaN, infinite or of a magnitude whose square is no float32:
// a file that was damaged, or a training that went astray. Integers are not looked at.
Status CheckValues(const TensorMap& weights);

}  // namespace timbre
