// libcurl, opened when something is fetched or a server asked: it brings more libraries than most commands need.
#pragma once

#include <curl/curl.h>

#include "base/shared_library.h"

namespace timbre {

#define TIMBRE_CURL(X)  \
  X(curl_easy_cleanup)  \
  X(curl_easy_getinfo)  \
  X(curl_easy_init)     \
  X(curl_easy_perform)  \
  X(curl_easy_reset)    \
  X(curl_easy_setopt)   \
  X(curl_easy_strerror) \
  X(curl_global_init)   \
  X(curl_slist_append)  \
  X(curl_slist_free_all)

TIMBRE_CURL(TIMBRE_DECLARE_FUNCTION)

// Opens and starts it, once in a process, before anything above; from any thread. Errors: kUnsupported where it is
// missing, kInternal.
Status StartCurl();

}  // namespace timbre
