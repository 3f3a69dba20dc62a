#include "tasks/stateful_session.h"

#include <algorithm>

namespace timbre {

Result<StatefulSession> StatefulSession::Create(Graph graph, int signals, const SessionOptions& options,
                                                ThreadPool& pool, Stats* stats) {
  constexpr std::string_view kState = "state.";
  StatefulSession s;
  for (const GraphPort& port : graph.outputs) {
    s.output_names_.push_back(port.name);
    if (port.name.starts_with(kState)) {
      s.outputs_.push_back(nullptr);
      continue;
    }
    s.buffers_.emplace_back(static_cast<size_t>(graph.shape(port.tensor).elements()));
    s.outputs_.push_back(s.buffers_.back().data());
  }
  for (const GraphPort& port : graph.inputs) {
    s.input_names_.push_back(port.name);
    const int64_t size = graph.shape(port.tensor).elements();
    if (port.name.starts_with(kState)) {
      const auto output = std::find(s.output_names_.begin(), s.output_names_.end(), port.name);
      if (output == s.output_names_.end() || graph.shape(graph.FindOutput(port.name)).elements() != size) {
        return Fail(ErrorCode::kInternal, graph.name + ": '" + port.name + "' does not come back as an output");
      }
      s.ports_.push_back({s.inputs_.size(), static_cast<size_t>(output - s.output_names_.begin()), s.state_size_});
      s.state_size_ += size;
      s.inputs_.push_back(nullptr);
      s.own_inputs_.push_back(nullptr);
      continue;
    }
    s.buffers_.emplace_back(static_cast<size_t>(size));
    s.own_inputs_.push_back(s.buffers_.back().data());
    s.inputs_.push_back(s.buffers_.back().data());
  }
  s.state_.resize(static_cast<size_t>(s.state_size_ * signals));
  TIMBRE_TRY(s.session_, MakeSession(std::move(graph), options, pool, stats));
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
  // In and out are the same memory: a session copies its inputs before it runs, and its outputs after.
  for (const StatePort& port : ports_) {
    float* state = state_.data() + signal * state_size_ + port.offset;
    inputs_[port.input] = state;
    outputs_[port.output] = state;
  }
  return session_->Run(inputs_, outputs_);
}

void StatefulSession::Reset() { std::fill(state_.begin(), state_.end(), 0.0f); }

void StatefulSession::Visit(StateStream& stream) { stream.Floats(state_); }

}  // namespace timbre
