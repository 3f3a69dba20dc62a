#include "http/event_stream.h"

namespace timbre::http {

std::shared_ptr<EventStream::Shared> EventStream::MakeShared() { return std::make_shared<Shared>(); }

bool EventStream::Push(std::string_view text) {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->closed) return false;
  if (shared_->text.size() + text.size() > kMostBehind) {
    shared_->text.clear();
    shared_->closed = true;
  } else {
    shared_->text += text;
  }
  shared_->Wake();
  return !shared_->closed;
}

void EventStream::Close() {
  const std::lock_guard lock(shared_->mutex);
  shared_->closed = true;
  shared_->Wake();
}

bool EventStream::closed() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->closed;
}

}  // namespace timbre::http
