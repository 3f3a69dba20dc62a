#include "pipelines/event_lines.h"

#include "base/text.h"

namespace timbre {

void EventLines::OnProgress(const Progress& progress) {
  const auto now = std::chrono::steady_clock::now();
  const bool known = progress.total > 0, done = known && progress.done >= progress.total;
  if (progress.stage == stage_ && !done && now - last_ < std::chrono::milliseconds(100)) return;
  stage_ = progress.stage;
  last_ = now;
  Write("progress", {{"stage", stage_.name()},
                     {"verb", verb_},
                     {"subject", subject_},
                     {"done", progress.done},
                     {"total", known ? nlohmann::ordered_json(progress.total) : nlohmann::ordered_json()},
                     {"audio_seconds", progress.audio_seconds}});
}

void EventLines::OnEvent(const Event& event) {
  if (event.kind == kBeginEvent) {
    verb_ = event.facts.value("verb", "");
    subject_ = event.facts.value("subject", "");
    last_ = {};
  }
  nlohmann::ordered_json facts = event.facts;
  if (!event.text.empty()) facts["text"] = event.text;
  Write(event.kind, facts);
}

void EventLines::Write(EventKind kind, const nlohmann::ordered_json& facts) const {
  nlohmann::ordered_json line = {{"event", kind}};
  line.update(facts);
  write_(PrintableJson(line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)));
}

}  // namespace timbre
