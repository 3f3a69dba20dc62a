// A session whose graph takes its state as inputs and gives it back as outputs, with the state kept between runs.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/state_stream.h"
#include "runtime/session.h"

namespace timbre {

// Inputs and outputs named "state.…" belong together and are kept for each of a number of signals; all others are
// buffers of this object. Running allocates nothing of its own.
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
  struct StatePort {
    size_t input = 0, output = 0;
    int64_t offset = 0;  // within one signal's state
  };
  StatefulSession() = default;

  std::unique_ptr<Session> session_;
  std::vector<std::string> input_names_, output_names_;
  std::vector<std::vector<float>> buffers_;
  std::vector<float*> own_inputs_;
  std::vector<const float*> inputs_;
  std::vector<float*> outputs_;
  std::vector<StatePort> ports_;
  int64_t state_size_ = 0;
  std::vector<float> state_;  // [signal][state]
};

}  // namespace timbre
