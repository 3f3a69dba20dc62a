#include "runtime/plan/tuner.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/file_lock.h"
#include "base/paths.h"

namespace timbre {

namespace {

// Whatever winners stand in the file.
std::map<std::string, std::string> ReadWinners(const std::string& path) {
  constexpr uintmax_t kLargest = 16 << 20;
  std::map<std::string, std::string> winners;
  std::error_code error;
  if (path.empty() || !std::filesystem::is_regular_file(path, error) ||
      std::filesystem::file_size(path, error) > kLargest) {
    return winners;
  }
  std::ifstream file(path);
  const auto json = nlohmann::json::parse(file, nullptr, false);
  if (!json.is_object()) return winners;
  for (const auto& [key, winner] : json.items()) {
    if (winner.is_string()) winners[key] = winner.get<std::string>();
  }
  return winners;
}

}  // namespace

Tuner::Tuner(Tune mode, const DeviceCaps& caps, std::string path)
    : mode_(mode), place_(caps.simd_target + " " + std::to_string(caps.threads)), path_(std::move(path)) {
  if (mode_ != Tune::kOff) winners_ = ReadWinners(path_);
}

std::string Tuner::KeyOf(const NodeRef& ref, std::span<const KernelRow* const> candidates) const {
  std::string key = place_ + " " + std::string(NameOf(ref.node.op));
  for (const TensorId id : ref.node.inputs) key += id == kNoTensor ? " -" : " " + ref.graph.shape(id).ToString();
  key += " ->";
  for (const TensorId id : ref.node.outputs) key += " " + ref.graph.shape(id).ToString();
  key += " +" + std::to_string(ref.node.epilogue.size());
  for (const KernelRow* row : candidates) key += " " + std::string(row->name) + "." + std::to_string(row->version);
  return key;
}

size_t Tuner::Choose(const NodeRef& ref, std::span<const KernelRow* const> candidates,
                     const std::function<Result<double>(size_t candidate)>& time) {
  if (mode_ == Tune::kOff || candidates.size() < 2) return 0;
  const std::string key = KeyOf(ref, candidates);
  const auto known = winners_.find(key);
  // Nodes of one shape are measured once in a session, `full` or not.
  if (known != winners_.end() && (mode_ == Tune::kFast || measured_ > 0)) {
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (candidates[i]->name == known->second) return i;
    }
  }
  const int runs = mode_ == Tune::kFull ? 5 : 1;
  size_t best = 0;
  double best_seconds = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < candidates.size(); ++i) {
    double seconds = std::numeric_limits<double>::infinity();
    for (int r = 0; r < runs + 1; ++r) {  // the first touches memory for the first time
      const Result<double> once = time(i);
      if (!once) break;
      if (r > 0) seconds = std::min(seconds, *once);
    }
    if (seconds < best_seconds) best = i, best_seconds = seconds;
  }
  winners_[key] = candidates[best]->name;
  ++measured_;
  return best;
}

void Tuner::Save() const {
  if (measured_ == 0 || path_.empty()) return;
  // What can't be kept is measured again next time: no error.
  if (!MakeFolders(std::filesystem::path(path_).parent_path().string())) return;
  const auto lock = FileLock::Acquire(path_ + ".lock", {});
  if (!lock) return;
  // Another process may have learnt something meanwhile; what both measured is this one's.
  std::map<std::string, std::string> all = winners_;
  all.merge(ReadWinners(path_));
  auto file = AtomicFile::Create(path_);
  if (file && file->Write(nlohmann::json(all).dump(1))) (void)file->Commit();
}

}  // namespace timbre
