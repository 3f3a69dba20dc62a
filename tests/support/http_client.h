// Requests to a server of this machine, one a connection, and what comes back.
#pragma once

#include <string>

namespace timbre::testing {

struct HttpAnswer {
  int status = 0;  // 0: there was none
  std::string headers, body;
  // The value of a header; empty where it isn't there.
  std::string Header(const std::string& name) const;
};

// `headers` are lines, each with its "\r\n". Reads to the end of the connection, or until `until` has come.
HttpAnswer AskServer(int port, const std::string& method, const std::string& target, const std::string& headers = "",
                     const std::string& body = "", const std::string& until = "");

}  // namespace timbre::testing
