#include "http/event_reader.h"

#include <utility>

namespace timbre::http {

bool EventReader::Add(std::string_view bytes) {
  if (text_.size() + event_.data.size() + bytes.size() > kLongest) return false;
  text_ += bytes;
  return true;
}

std::optional<StreamedEvent> EventReader::Next() {
  size_t read = 0;
  std::optional<StreamedEvent> whole;
  while (!whole) {
    const size_t end = text_.find('\n', read);
    if (end == std::string::npos) break;
    std::string_view line = std::string_view(text_).substr(read, end - read);
    read = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) {
      StreamedEvent done{.id = event_.id};
      std::swap(done, event_);
      if (done.data.empty()) continue;
      done.data.pop_back();  // the end of its last line
      whole = std::move(done);
      continue;
    }
    const size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (name == "event") event_.type = value;
    if (name == "data") (event_.data += value) += '\n';
    if (name == "id" && value.find('\0') == std::string_view::npos) event_.id = value;
  }
  text_.erase(0, read);
  return whole;
}

}  // namespace timbre::http
