#include "store/curl.h"

namespace timbre {

TIMBRE_CURL(TIMBRE_DEFINE_FUNCTION)

namespace {

constexpr SharedLibrary kCurl = {"libcurl.so.4", "libcurl4", "models are fetched and servers asked by"};
constexpr LibraryFunction kFunctions[] = {TIMBRE_CURL(TIMBRE_FIND_FUNCTION)};

Status Start() {
  TIMBRE_CHECK(OpenLibrary(kCurl, kFunctions));
  if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) return {};
  return Fail(ErrorCode::kInternal, "libcurl can't be started.");
}

}  // namespace

Status StartCurl() {
  static const Status started = Start();
  return started;
}

}  // namespace timbre
