#include "pipelines/text/generator.h"

#include <algorithm>
#include <set>
#include <string>

#include "models/language/language_network.h"
#include "pipelines/check_finite.h"

namespace timbre {
namespace {

constexpr int64_t kLeastCapacity = 256;
// Ids of a pass. A pass of few costs what reading the weights costs, about as much as a step; one of many what its rows
// cost, those that stand for nothing too.
constexpr int64_t kRows[] = {1, 16, 32, 64, 128, 256};
constexpr int64_t kFewRows = 16;
// Where all scores are wanted: they take a vocabulary's floats an id.
constexpr int64_t kMostRowsOfAll = 64;

int64_t CapacityFor(int64_t places, int64_t context) {
  int64_t capacity = kLeastCapacity;
  while (capacity < places) capacity *= 2;
  return std::min(capacity, context);
}

// Constants that products of one row read whole; an embedding, of which they read a row, is none of them unless the
// head reads it too.
int64_t BytesOfProducts(const Graph& graph) {
  std::set<TensorId> counted;
  int64_t bytes = 0;
  for (const Node& node : graph.nodes) {
    if (node.op != Op::kLinear) continue;
    for (const TensorId input : node.inputs) {
      if (input == kNoTensor || !graph.IsConstant(input) || !counted.insert(input).second) continue;
      bytes += static_cast<int64_t>(graph.tensors[input].constant.bytes());
    }
  }
  return bytes;
}

}  // namespace

Generator::Generator(const LanguageModel& model, const SessionOptions& session, ThreadPool& pool, Stats* stats)
    : config_(model.config),
      weights_(model.weights),
      options_(session),
      pool_(pool),
      stats_(stats),
      state_(std::make_shared<SessionState>()) {}

Result<std::unique_ptr<Generator>> Generator::Create(const LanguageModel& model, int64_t reserve,
                                                     const SessionOptions& session, ThreadPool& pool, Stats* stats) {
  std::unique_ptr<Generator> generator(new Generator(model, session, pool, stats));
  generator->capacity_ = CapacityFor(reserve, model.config.context);
  TIMBRE_CHECK(generator->SessionFor({1, false}).map([](Session*) {}));
  return generator;
}

const Session* Generator::step_session() const {
  const auto found = sessions_.find({1, false});
  return found == sessions_.end() ? nullptr : found->second.get();
}

Result<Session*> Generator::SessionFor(Kind kind) {
  std::unique_ptr<Session>& session = sessions_[kind];
  if (session != nullptr) return session.get();
  const std::unique_ptr<Weights> weights = WeightsFromMap(weights_);
  TIMBRE_TRY(Graph graph, BuildLanguageModel(config_, *weights, {kind.rows, capacity_, kind.all}));
  if (kind.rows == 1) weight_bytes_ = BytesOfProducts(graph);
  TIMBRE_TRY(session, MakeSession(std::move(graph), options_, pool_, stats_));
  TIMBRE_CHECK(session->UseState(state_));
  return session.get();
}

// Sessions are made for a capacity. What was read moves into a larger cache, once for each doubling.
Status Generator::Grow(int64_t places) {
  if (places > config_.context) {
    return Fail(ErrorCode::kInvalidArgument, "the model reads " + std::to_string(config_.context) +
                                                 " tokens at most, and " + std::to_string(places) +
                                                 " would be read; give a shorter prompt or ask for fewer");
  }
  if (places <= capacity_) return {};
  const std::shared_ptr<SessionState> old = state_;
  const auto kept = static_cast<size_t>(position_ * config_.kv_heads * config_.head);
  sessions_.clear();
  capacity_ = CapacityFor(places, config_.context);
  state_ = std::make_shared<SessionState>();
  TIMBRE_CHECK(SessionFor({1, false}).map([](Session*) {}));
  const auto size = static_cast<size_t>(capacity_ * config_.kv_heads * config_.head);
  for (int i = 0; i < config_.layers && position_ > 0; ++i) {
    for (const char* kind : {"k.", "v."}) {
      const std::string name = kind + std::to_string(i);
      TIMBRE_TRY(std::vector<float> values, old->Get(name));
      values.resize(kept);
      values.resize(size);
      TIMBRE_CHECK(state_->Set(name, values));
    }
  }
  return {};
}

Status Generator::CheckIds(std::span<const int32_t> ids) const {
  if (ids.empty()) return Fail(ErrorCode::kInvalidArgument, "there is no token to read; give a prompt");
  for (const int32_t id : ids) {
    if (id < 0 || id >= config_.vocabulary) {
      return Fail(ErrorCode::kInvalidArgument,
                  "the token " + std::to_string(id) + " is none of the model's " + std::to_string(config_.vocabulary));
    }
  }
  return {};
}

int64_t Generator::RowsFor(int64_t left, int64_t most) const {
  const int64_t room = std::min(most, capacity_ - position_);
  int64_t chosen = 1;
  for (const int64_t rows : kRows) {
    if (rows > room) break;
    const bool filled = rows <= left, nearly = 3 * (rows - left) <= left, few = rows == kFewRows && left > 2;
    if (filled || nearly || few) chosen = rows;
  }
  return chosen;
}

Status Generator::Pass(Kind kind, std::span<const int32_t> ids, std::vector<float>& out) {
  TIMBRE_TRY(Session * session, SessionFor(kind));
  const auto count = static_cast<int64_t>(ids.size());
  // Rows that stand for nothing come after those that count, which don't see them; what they leave in the cache is
  // written over, or never seen.
  ids_.assign(static_cast<size_t>(kind.rows), 0);
  std::copy(ids.begin(), ids.end(), ids_.begin());
  positions_.resize(static_cast<size_t>(kind.rows));
  for (int64_t i = 0; i < kind.rows; ++i) {
    positions_[i] = static_cast<int32_t>(std::min(position_ + i, config_.context - 1));
  }
  const auto row = static_cast<int32_t>(count - 1);
  std::vector<const float*> in;
  for (const GraphPort& port : session->graph().inputs) {
    const int32_t* values = port.name == "ids" ? ids_.data() : port.name == "row" ? &row : positions_.data();
    in.push_back(reinterpret_cast<const float*>(values));
  }
  out.resize(static_cast<size_t>((kind.all ? kind.rows : 1) * config_.vocabulary));
  float* const to[] = {out.data()};
  TIMBRE_CHECK(session->SetScalar(kPositionScalar, static_cast<int32_t>(position_)));
  TIMBRE_CHECK(session->SetScalar(kLengthScalar, static_cast<int32_t>(position_ + count)));
  TIMBRE_CHECK(session->Run(in, to));
  out.resize(static_cast<size_t>((kind.all ? count : 1) * config_.vocabulary));
  TIMBRE_CHECK(CheckFinite(out, "the model's scores after " + std::to_string(position_ + count) +
                                    " tokens are not all numbers; its weights are damaged"));
  position_ += count;
  return {};
}

Result<std::span<const float>> Generator::Prefill(std::span<const int32_t> ids) {
  TIMBRE_CHECK(CheckIds(ids));
  TIMBRE_CHECK(Grow(position_ + static_cast<int64_t>(ids.size())));
  while (!ids.empty()) {
    if (options_.cancelled != nullptr && *options_.cancelled) return Fail(ErrorCode::kCancelled, "cancelled");
    const auto left = static_cast<int64_t>(ids.size());
    const int64_t rows = RowsFor(left, kRows[std::size(kRows) - 1]);
    const std::span<const int32_t> now = ids.first(static_cast<size_t>(std::min(rows, left)));
    TIMBRE_CHECK(Pass({rows, false}, now, scores_));
    ids = ids.subspan(now.size());
  }
  return std::span<const float>(scores_);
}

Status Generator::PrefillAll(std::span<const int32_t> ids, const Rows& rows_of) {
  TIMBRE_CHECK(CheckIds(ids));
  TIMBRE_CHECK(Grow(position_ + static_cast<int64_t>(ids.size())));
  while (!ids.empty()) {
    if (options_.cancelled != nullptr && *options_.cancelled) return Fail(ErrorCode::kCancelled, "cancelled");
    const auto left = static_cast<int64_t>(ids.size());
    const int64_t rows = RowsFor(left, kMostRowsOfAll);
    const std::span<const int32_t> now = ids.first(static_cast<size_t>(std::min(rows, left)));
    TIMBRE_CHECK(Pass({rows, rows > 1}, now, scores_));
    TIMBRE_CHECK(rows_of(scores_));
    ids = ids.subspan(now.size());
  }
  return {};
}

Result<std::span<const float>> Generator::Step(int32_t id) { return Prefill({&id, 1}); }

}  // namespace timbre
