// What a task tells besides its progress: in words for people, in facts for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/observer.h"

namespace timbre {

// An open set, to which a pipeline may add its own; who shows events shows the text of those it doesn't know. Literals.
using EventKind = std::string_view;
inline constexpr EventKind kAnswerEvent = "answer";    // what was asked for: a table's row, a list's entry
inline constexpr EventKind kPieceEvent = "piece";      // a piece of an answer that comes bit by bit: text as it stands
inline constexpr EventKind kMessageEvent = "message";  // what happened
inline constexpr EventKind kDetailEvent = "detail";    // more of it, for who wants to know
inline constexpr EventKind kWarningEvent = "warning";  // what is wrong although the work goes on
inline constexpr EventKind kStepDownEvent = "step_down";  // a kernel, a batch or a device gave way to a slower one
inline constexpr EventKind kBeginEvent = "begin";  // progress begins: {"verb": "separating", "subject": "song.mp3"}
inline constexpr EventKind kEndEvent = "end";      // it has ended

struct Event {
  EventKind kind = kMessageEvent;
  std::string text;  // whole lines, or nothing
  nlohmann::ordered_json facts = nlohmann::ordered_json::object();
};

inline void Answer(Observer& observer, std::string text) { observer.OnEvent({kAnswerEvent, std::move(text)}); }
inline void Say(Observer& observer, std::string text) { observer.OnEvent({kMessageEvent, std::move(text)}); }
inline void Detail(Observer& observer, std::string text) { observer.OnEvent({kDetailEvent, std::move(text)}); }
inline void Warn(Observer& observer, std::string text) { observer.OnEvent({kWarningEvent, std::move(text)}); }

// What the progress that follows is about: "separating", "song.mp3".
void BeginProgress(Observer& observer, std::string_view verb, std::string_view subject);
void EndProgress(Observer& observer);

}  // namespace timbre
