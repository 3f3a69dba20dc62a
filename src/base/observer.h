// Progress and cancellation of anything that takes long: one observer for both.
#pragma once

#include <string_view>

namespace timbre {

struct Progress {
  std::string_view stage;  // what is being done, and to what: "separating song.mp3"; a change starts a new bar
  double done = 0;         // in any unit: seconds of audio, bytes
  double total = 0;        // in the same unit; 0 where it is not known
};

class Observer {
 public:
  virtual ~Observer() = default;
  // Called from the thread that does the work, as often as once a tile.
  virtual void OnProgress(const Progress& progress) { (void)progress; }
  // True asks the work to stop soon, leaving nothing half-written, and to return kCancelled.
  virtual bool Cancelled() { return false; }
};

}  // namespace timbre
