#include "pipelines/kept_models.h"

#include <utility>

namespace timbre {

void KeptModels::BeginJob() {
  for (auto& [name, held] : held_) held.used = false;
  loaded_ = reused_ = 0;
}

const std::any* KeptModels::Find(const std::string& name) {
  const auto found = held_.find(name);
  if (found == held_.end()) return nullptr;
  found->second.used = true;
  return &found->second.model;
}

// A job that takes another model than the last one needs the memory.
void KeptModels::MakeRoom() {
  std::erase_if(held_, [](const auto& entry) { return !entry.second.used; });
}

void KeptModels::Hold(const std::string& name, std::any model) {
  ++loaded_;
  held_[name] = {.model = std::move(model)};
}

}  // namespace timbre
