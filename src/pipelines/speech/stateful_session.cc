#include "pipelines/speech/stateful_session.h"

#include <algorithm>

namespace timbre {

Result<StatefulSession> StatefulSession::Create(Graph graph, int signals, const SessionOptions& options,
                                                ThreadPool& pool, Stats* stats) {
  StatefulSession s;
  for (const GraphPort& port : graph.outputs) {
    s.output_names_.push_back(port.name);
    s.buffers_.emplace_back(static_cast<size_t>(graph.shape(port.tensor).elements()));
    s.outputs_.push_back(s.buffers_.back().data());
  }
  for (const GraphPort& port : graph.inputs) {
    s.input_names_.push_back(port.name);
    s.buffers_.emplace_back(static_cast<size_t>(graph.shape(port.tensor).elements()));
    s.own_inputs_.push_back(s.buffers_.back().data());
    s.inputs_.push_back(s.buffers_.back().data());
  }
  TIMBRE_TRY(s.session_, MakeSession(std::move(graph), options, pool, stats));
  // Each has been in use once, so that the session knows it.
  s.states_.push_back(s.session_->state());
  while (static_cast<int>(s.states_.size()) < signals) {
    s.states_.push_back(std::make_shared<SessionState>());
    TIMBRE_CHECK(s.session_->UseState(s.states_.back()));
  }
  return s;
}

float* StatefulSession::Input(std::string_view name) {
  const auto it = std::find(input_names_.begin(), input_names_.end(), name);
  return it == input_names_.end() ? nullptr : own_inputs_[static_cast<size_t>(it - input_names_.begin())];
}

const float* StatefulSession::Output(std::string_view name) const {
  const auto it = std::find(output_names_.begin(), output_names_.end(), name);
  return it == output_names_.end() ? nullptr : outputs_[static_cast<size_t>(it - output_names_.begin())];
}

void StatefulSession::BindInput(std::string_view name, const float* from) {
  const auto it = std::find(input_names_.begin(), input_names_.end(), name);
  if (it != input_names_.end()) inputs_[static_cast<size_t>(it - input_names_.begin())] = from;
}

Status StatefulSession::Run(int signal) {
  TIMBRE_CHECK(session_->UseState(states_[static_cast<size_t>(signal)]));
  return session_->Run(inputs_, outputs_);
}

void StatefulSession::Reset() {
  for (const auto& state : states_) state->Clear();
}

void StatefulSession::Visit(StateStream& stream) {
  for (const auto& state : states_) state->Visit(stream);
}

}  // namespace timbre
