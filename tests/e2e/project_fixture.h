// A server's project, and operations on it, each on what the one before left.
#pragma once

#include <string>

#include "tests/e2e/serve_fixture.h"

namespace timbre::testing {

class ProjectTest : public ServeTest {
 protected:
  void Create(const Json& request) {
    const HttpAnswer made = Post("/v1/projects", request);
    ASSERT_EQ(made.status, 201) << made.body;
    self_ = made.Header("Location");
    etag_ = made.Header("ETag");
  }
  // With the project's ETag; what comes then is the project.
  HttpAnswer Operate(const Json& operation) {
    HttpAnswer answer = Post(self_ + "/operations", operation, "If-Match: " + etag_ + "\r\n");
    if (answer.status == 200) etag_ = answer.Header("ETag");
    return answer;
  }
  Json Do(const Json& operation) {
    const HttpAnswer answer = Operate(operation);
    EXPECT_EQ(answer.status, 200) << operation << answer.body;
    return Parse(answer);
  }

  std::string self_, etag_;
};

}  // namespace timbre::testing
