// libmicrohttpd, opened when a server starts. For server.cc.
#pragma once

#include <microhttpd.h>

#include "base/shared_library.h"

namespace timbre::http {

#define TIMBRE_MICROHTTPD(X)                 \
  X(MHD_add_response_header)                 \
  X(MHD_create_response_from_buffer)         \
  X(MHD_create_response_from_callback)       \
  X(MHD_create_response_from_fd_at_offset64) \
  X(MHD_destroy_response)                    \
  X(MHD_get_connection_info)                 \
  X(MHD_get_connection_values)               \
  X(MHD_queue_response)                      \
  X(MHD_quiesce_daemon)                      \
  X(MHD_resume_connection)                   \
  X(MHD_start_daemon)                        \
  X(MHD_stop_daemon)                         \
  X(MHD_suspend_connection)

TIMBRE_MICROHTTPD(TIMBRE_DECLARE_FUNCTION)

// Before anything above; from any thread. Errors: kUnsupported where it is missing.
Status LoadMicrohttpd();

}  // namespace timbre::http
