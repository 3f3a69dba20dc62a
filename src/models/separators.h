// The catalogue's separators that people train and share among themselves: RoFormers, SCNets, MDX-Nets and MDX23Cs.
#pragma once

#include <vector>

#include "models/catalogue.h"

namespace timbre {

std::vector<ModelEntry> Separators();

}  // namespace timbre
