#pragma once

namespace timbre {

// "0.1.0"
const char* Version();

}  // namespace timbre
