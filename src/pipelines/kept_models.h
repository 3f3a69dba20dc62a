// Models that stay loaded from job to job, in a process that runs one after the other, such as a server's worker.
#pragma once

#include <any>
#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "models/named_model.h"
#include "pipelines/job.h"

namespace timbre {

// Holds what the last job loaded: what the next one asks for by the same name is there already, and what it does not
// ask for is given back before anything else is loaded. Of one thread.
class KeptModels {
 public:
  // Before each job.
  void BeginJob();
  // What is held under that name, or what `load` gives: a Result of a copyable model.
  template <typename Load>
  auto Take(const std::string& name, const Load& load) -> decltype(load()) {
    if (const std::any* held = Find(name); held != nullptr) {
      ++reused_;
      return std::any_cast<typename decltype(load())::value_type>(*held);
    }
    MakeRoom();
    auto model = load();
    if (model) Hold(name, *model);
    return model;
  }
  // Of the last job.
  int64_t loaded() const { return loaded_; }
  int64_t reused() const { return reused_; }

 private:
  struct Held {
    std::any model;
    bool used = true;  // by the job that runs
  };
  const std::any* Find(const std::string& name);
  void MakeRoom();
  void Hold(const std::string& name, std::any model);

  std::map<std::string, Held> held_;
  int64_t loaded_ = 0, reused_ = 0;
};

// What `load` gives, by way of what the job's host holds. `name` is the model's, as the user named it, and `settings`
// are what else tells one loaded model from another. A path is read anew each time: another file may lie there by now,
// where a name of the catalogue stands for the same bytes for ever.
template <typename Load>
auto LoadKept(const JobHost& host, const std::string& name, const std::string& settings, const Load& load)
    -> decltype(load()) {
  if (host.models == nullptr || EntryOfName(name) == nullptr) return load();
  return host.models->Take(name + "|" + settings, load);
}

}  // namespace timbre
