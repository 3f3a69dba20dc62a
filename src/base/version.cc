#include "base/version.h"

namespace timbre {

const char* Version() { return TIMBRE_VERSION; }

}  // namespace timbre
