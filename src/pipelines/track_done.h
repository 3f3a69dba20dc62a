// What jobs over several inputs tell as each of them is done, for whoever cannot wait for the report.
#pragma once

#include <utility>

#include "base/event.h"

namespace timbre {

// An input is done and its files have their names; the facts are what the report says of it.
inline constexpr EventKind kTrackEvent = "track";

inline void TrackDone(Observer& observer, nlohmann::ordered_json track) {
  observer.OnEvent({kTrackEvent, "", std::move(track)});
}

}  // namespace timbre
