// The receiving end of an event stream (HTML, 9.2.6), whose bytes come as they come.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace timbre::http {

struct StreamedEvent {
  std::string type = "message";
  std::string data;  // never empty; lines are joined by '\n'
  std::string id;    // of this event, or the last one before it that had one
};

class EventReader {
 public:
  static constexpr size_t kLongest = size_t{8} << 20;
  // False where an event is longer than that; nothing more is read then.
  bool Add(std::string_view bytes);
  std::optional<StreamedEvent> Next();

 private:
  std::string text_;  // not yet read
  StreamedEvent event_;
};

}  // namespace timbre::http
