#include "base/event.h"

namespace timbre {

void BeginProgress(Observer& observer, std::string_view verb, std::string_view subject) {
  observer.OnEvent({kBeginEvent, "", {{"verb", verb}, {"subject", subject}}});
}

void EndProgress(Observer& observer) { observer.OnEvent({kEndEvent, ""}); }

}  // namespace timbre
