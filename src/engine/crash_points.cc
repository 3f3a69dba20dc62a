#include "engine/crash_points.h"

#include <unistd.h>

#include <atomic>

namespace timbre::engine {
namespace {

struct Chosen {
  std::string name;
  std::atomic<int> left{0};
};

Chosen& Point() {
  static Chosen point;
  return point;
}

}  // namespace

const std::vector<std::string>& CrashPoints() {
  static const std::vector<std::string> kPoints = {
      "before-migration",      "during-migration",     "after-migration",     "before-recovery",
      "after-recovery",        "before-asset-rename",  "after-asset-rename",  "after-asset-row",
      "before-submit",         "after-submit",         "before-claim",        "after-claim",
      "after-part-folder",     "before-send",          "after-send",          "after-progress",
      "after-worker-answer",   "before-output-rename", "after-output-rename", "before-commit",
      "after-commit",          "before-part-removal",  "after-part-removal",  "after-cancel-request",
      "before-project-commit", "after-project-commit",
  };
  return kPoints;
}

void SetCrashPoint(const std::string& name, int count) {
  Point().name = name;
  Point().left = count;
}

void At(std::string_view point) {
  Chosen& chosen = Point();
  if (chosen.name.empty() || chosen.name != point) return;
  if (chosen.left.fetch_sub(1) == 1) _exit(kCrashed);
}

}  // namespace timbre::engine
