// A session with buffers for its inputs and outputs, and a state for each of a number of signals.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/state_stream.h"
#include "runtime/session/session.h"

namespace timbre {

// One network for several signals that don't know of each other. Running allocates nothing of its own.
class StatefulSession {
 public:
  static Result<StatefulSession> Create(Graph graph, int signals, const SessionOptions& options, ThreadPool& pool,
                                        Stats* stats);

  // The buffer of an input to be filled, or of an output; null where the graph has none of that name.
  float* Input(std::string_view name);
  const float* Output(std::string_view name) const;
  // Reads the input `name` from elsewhere.
  void BindInput(std::string_view name, const float* from);

  Status Run(int signal);
  void Reset();
  void Visit(StateStream& stream);

  const Session& session() const { return *session_; }
  Session& session() { return *session_; }

 private:
  StatefulSession() = default;

  std::unique_ptr<Session> session_;
  std::vector<std::string> input_names_, output_names_;
  std::vector<std::vector<float>> buffers_;
  std::vector<float*> own_inputs_;
  std::vector<const float*> inputs_;
  std::vector<float*> outputs_;
  std::vector<std::shared_ptr<SessionState>> states_;  // of each signal
};

}  // namespace timbre
