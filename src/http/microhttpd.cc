#include "http/microhttpd.h"

namespace timbre::http {

TIMBRE_MICROHTTPD(TIMBRE_DEFINE_FUNCTION)

Status LoadMicrohttpd() {
  static constexpr LibraryFunction kFunctions[] = {TIMBRE_MICROHTTPD(TIMBRE_FIND_FUNCTION)};
  static const Status loaded = OpenLibrary({"libmicrohttpd.so.12", "libmicrohttpd12", "a server needs"}, kFunctions);
  return loaded;
}

}  // namespace timbre::http
