#include "runtime/session/state.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "graph/state.h"
#include "graph/weights.h"

namespace timbre {

int SessionState::Find(std::string_view name) const {
  for (size_t i = 0; i < states_.size(); ++i) {
    if (states_[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

template <typename F>
void SessionState::ForPlaces(State& state, int64_t at, int64_t places, const F& f) {
  const size_t inner = static_cast<size_t>(state.shape.stride(state.axis)) * SizeOf(state.dtype);
  const int64_t outer = state.shape.Product(0, state.axis), capacity = state.shape[state.axis];
  for (int64_t o = 0; o < outer && places > 0; ++o) {
    f(std::span(state.buffers[state.now].data() + static_cast<size_t>(o * capacity + at) * inner,
                static_cast<size_t>(places) * inner));
  }
}

void SessionState::Touch(int state, int64_t from, int64_t to, const Twin* but) {
  for (const auto& [device, twin] : twins_) {
    if (twin.get() == but || static_cast<size_t>(state) >= twin->stale.size() || from >= to) continue;
    Twin::Range& stale = twin->stale[state];
    stale = stale.to == 0 ? Twin::Range{from, to} : Twin::Range{std::min(stale.from, from), std::max(stale.to, to)};
  }
}

void SessionState::TouchAll() {
  for (const auto& [device, twin] : twins_) twin->stale.clear();
}

std::shared_ptr<SessionState::Twin> SessionState::TwinOn(const void* device) const {
  const auto found = twins_.find(device);
  return found == twins_.end() ? nullptr : found->second;
}

void SessionState::SetTwin(const void* device, std::shared_ptr<Twin> twin) {
  if (twin != nullptr) {
    twins_[device] = std::move(twin);
  } else if (const auto found = twins_.find(device); found != twins_.end() && found->second.use_count() == 1) {
    twins_.erase(found);
  }
}

std::vector<std::pair<int64_t, std::span<const std::byte>>> SessionState::RunsOf(int index, Twin::Range range) const {
  const State& state = states_[index];
  const std::byte* const data = state.buffers[state.now].data();
  std::vector<std::pair<int64_t, std::span<const std::byte>>> runs;
  if (state.axis < 0) {
    runs.emplace_back(0, std::span(data, state.bytes()));
    return runs;
  }
  const int64_t inner = state.shape.stride(state.axis) * static_cast<int64_t>(SizeOf(state.dtype));
  const int64_t outer = state.shape.Product(0, state.axis);
  for (int64_t o = 0; o < outer; ++o) {
    const int64_t at = (o * state.shape[state.axis] + range.from) * inner;
    runs.emplace_back(at, std::span(data + at, static_cast<size_t>((range.to - range.from) * inner)));
  }
  return runs;
}

void SessionState::Zero(State& state, int64_t from, int64_t to) {
  ForPlaces(state, from, to - from, [&](std::span<std::byte> run) { std::memset(run.data(), 0, run.size()); });
}

void SessionState::Clear() {
  Unmark();
  for (size_t i = 0; i < states_.size(); ++i) {
    State& state = states_[i];
    Touch(static_cast<int>(i), 0, state.axis >= 0 ? state.used : 1);
    if (state.axis >= 0) {
      Zero(state, 0, state.used);
    } else {
      std::memset(state.buffers[state.now].data(), 0, state.bytes());
    }
    state.used = 0;
  }
}

Status SessionState::Mark() {
  for (State& state : states_) {
    if (state.whole && state.buffers[2].size() != state.bytes()) TIMBRE_CHECK(state.Make(2));
  }
  Unmark();
  marked_ = true;
  for (State& state : states_) {
    state.marked_used = state.used;
    if (state.whole) state.marked = state.now;
  }
  return {};
}

Status SessionState::Rollback() {
  if (!marked_) return Fail(ErrorCode::kInvalidArgument, "there is no mark to roll a state back to; call Mark first");
  BringBack(0);
  for (size_t i = 0; i < states_.size(); ++i) {
    State& state = states_[i];
    if (state.axis >= 0) {
      Zero(state, state.marked_used, state.used);
      Touch(static_cast<int>(i), state.marked_used, state.used);
    }
    if (state.whole) {
      // One that came later was nothing but zeros then.
      if (state.marked < 0) {
        std::memset(state.buffers[state.now].data(), 0, state.bytes());
      } else {
        state.now = state.marked;
      }
      Touch(static_cast<int>(i), 0, 1);
    }
    state.used = state.marked_used;
  }
  return {};
}

void SessionState::Unmark() {
  marked_ = false;
  kept_.clear();
  kept_bytes_.clear();
  for (State& state : states_) state.marked = -1;
}

void SessionState::Visit(StateStream& stream) {
  if (stream.restoring()) {
    Unmark();
    TouchAll();
  }
  for (State& state : states_) {
    const auto pass = [&](std::span<std::byte> run) {
      if (state.dtype == DType::kF32) {
        stream.Floats({reinterpret_cast<float*>(run.data()), run.size() / sizeof(float)});
      } else {
        stream.Bytes(run);
      }
    };
    if (state.axis < 0) {
      pass({state.buffers[state.now].data(), state.bytes()});
      continue;
    }
    const int64_t before = state.used;
    stream.Integer(&state.used, 0, state.shape[state.axis]);
    if (!stream.ok()) return;
    ForPlaces(state, 0, state.used, pass);
    if (stream.restoring() && state.used < before) Zero(state, state.used, before);
  }
}

uint64_t SessionState::Identity() const {
  std::string text;
  for (const State& state : states_)
    text += state.name + state.shape.ToString() + std::string(NameOf(state.dtype)) + ";";
  return Fnv1a64(text);
}

std::vector<std::byte> SessionState::Save() const {
  const uint64_t id = Identity();
  // A stream writes to nothing but what it is given when it saves.
  auto& self = const_cast<SessionState&>(*this);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  StateStream measure = StateStream::Measure();
  self.Visit(measure);
  std::vector<std::byte> saved(sizeof(id) + measure.size());
  std::memcpy(saved.data(), &id, sizeof(id));
  StateStream save = StateStream::Save(std::span(saved).subspan(sizeof(id)));
  self.Visit(save);
  return saved;
}

Status SessionState::Restore(std::span<const std::byte> from) {
  uint64_t id = 0;
  if (from.size() >= sizeof(id)) std::memcpy(&id, from.data(), sizeof(id));
  if (from.size() >= sizeof(id) && id == Identity()) {
    StateStream stream = StateStream::Restore(from.subspan(sizeof(id)));
    Visit(stream);
    if (stream.ok() && stream.size() == from.size() - sizeof(id)) return {};
  }
  Clear();
  return Fail(ErrorCode::kCorrupt, "what should be restored was not saved from this model's states, or is damaged");
}

Status SessionState::Set(std::string_view name, std::span<const float> values) {
  const int index = Find(name);
  if (index < 0) return Fail(ErrorCode::kNotFound, "there is no state '" + std::string(name) + "'");
  State& state = states_[index];
  if (state.dtype != DType::kF32 || values.size_bytes() != state.bytes()) {
    return Fail(ErrorCode::kInvalidArgument, "the state '" + state.name + "' holds " +
                                                 std::to_string(state.shape.elements()) + " numbers of type " +
                                                 std::string(NameOf(state.dtype)));
  }
  Unmark();
  TouchAll();
  std::memcpy(Now(index), values.data(), values.size_bytes());
  if (state.axis >= 0) state.used = state.shape[state.axis];
  return {};
}

Result<std::vector<float>> SessionState::Get(std::string_view name) const {
  const int index = Find(name);
  if (index < 0 || states_[index].dtype != DType::kF32)
    return Fail(ErrorCode::kNotFound, "there is no float32 state '" + std::string(name) + "'");
  const State& state = states_[index];
  std::vector<float> values(static_cast<size_t>(state.shape.elements()));
  std::memcpy(values.data(), state.buffers[state.now].data(), state.bytes());
  return values;
}

int64_t SessionState::used(std::string_view name) const {
  const int index = Find(name);
  return index < 0 ? 0 : states_[index].used;
}

int64_t SessionState::bytes() const {
  size_t sum = kept_bytes_.capacity();
  for (const State& state : states_) {
    for (const AlignedBytes& buffer : state.buffers) sum += buffer.size();
  }
  return static_cast<int64_t>(sum);
}

Status SessionState::State::Make(int buffer, bool zeroed) {
  TIMBRE_TRY(Reservation more, CpuLedger().Reserve(bytes()));
  TIMBRE_TRY(buffers[buffer], AlignedBytes::Allocate(bytes(), zeroed));
  reserved.Join(std::move(more));
  return {};
}

Result<std::vector<int>> SessionState::Attach(const Graph& graph) {
  std::vector<int> indices(graph.tensors.size(), -1);
  for (size_t id = 0; id < graph.tensors.size(); ++id) {
    const TensorInfo& tensor = graph.tensors[id];
    if (tensor.kind != TensorKind::kState) continue;
    int index = Find(tensor.name);
    if (index < 0) {
      State state;
      state.name = tensor.name;
      state.shape = tensor.shape;
      state.dtype = tensor.dtype;
      TIMBRE_CHECK(state.Make(0, true));
      index = static_cast<int>(states_.size());
      states_.push_back(std::move(state));
    }
    if (!(states_[index].shape == tensor.shape) || states_[index].dtype != tensor.dtype) {
      return Fail(ErrorCode::kInvalidArgument, graph.name + ": its state '" + tensor.name + "' is of shape " +
                                                   tensor.shape.ToString() + ", the one that is there of shape " +
                                                   states_[index].shape.ToString());
    }
    indices[id] = index;
  }
  const std::vector<StateVersion> versions = StateVersions(graph);
  for (const Node& node : graph.nodes) {
    if (node.op != Op::kStateWrite) continue;
    State& state = states_[indices[versions[node.inputs[0]].state]];
    const bool whole = ReplacesState(node);
    const int axis = whole ? -1 : node.As<StateWriteAttrs>().axis;
    if (whole ? state.axis >= 0 : state.whole || (state.axis >= 0 && state.axis != axis))
      return Fail(ErrorCode::kInvalidArgument,
                  graph.name + ": the state '" + state.name + "' is written in another way elsewhere");
    if (whole && state.buffers[1].size() != state.bytes()) {
      TIMBRE_CHECK(state.Make(1));
    }
    state.whole = whole;
    state.axis = axis;
  }
  return indices;
}

std::vector<SessionState::Write> SessionState::WritesOf(const Graph& graph, std::span<const int> indices) {
  std::vector<Write> writes;
  const std::vector<StateVersion> versions = StateVersions(graph);
  for (const Node& node : graph.nodes) {
    if (node.op != Op::kStateWrite) continue;
    const auto& attrs = node.As<StateWriteAttrs>();
    writes.push_back({indices[versions[node.inputs[0]].state], ReplacesState(node), attrs.at,
                      graph.shape(node.inputs[1])[attrs.axis]});
  }
  return writes;
}

void SessionState::KeepAside(int index, int64_t at, int64_t places) {
  State& state = states_[index];
  size_t offset = kept_bytes_.size();
  // There is room before there is an entry: where there is no memory, nothing is brought back that was not kept.
  kept_bytes_.resize(offset +
                     state.bytes() / static_cast<size_t>(state.shape[state.axis]) * static_cast<size_t>(places));
  kept_.push_back({index, at, places, offset});
  ForPlaces(state, at, places, [&](std::span<std::byte> run) {
    std::memcpy(kept_bytes_.data() + offset, run.data(), run.size());
    offset += run.size();
    moved_ += static_cast<int64_t>(run.size());
  });
}

void SessionState::BringBack(size_t first) {
  while (kept_.size() > first) {
    const Kept& kept = kept_.back();
    Touch(kept.state, kept.at, kept.at + kept.places);
    size_t offset = kept.offset;
    ForPlaces(states_[kept.state], kept.at, kept.places, [&](std::span<std::byte> run) {
      std::memcpy(run.data(), kept_bytes_.data() + offset, run.size());
      offset += run.size();
      moved_ += static_cast<int64_t>(run.size());
    });
    kept_bytes_.resize(kept.offset);
    kept_.pop_back();
  }
}

Status SessionState::Check(std::span<const Write> writes, const Scalars& scalars) const {
  for (const Write& write : writes) {
    const State& state = states_[write.state];
    if (write.whole) continue;
    const int64_t at = scalars.I32(write.at), capacity = state.shape[state.axis];
    if (at < 0 || at + write.places > capacity) {
      return Fail(ErrorCode::kInvalidArgument, "the state '" + state.name + "' has " + std::to_string(capacity) +
                                                   " places, and this run would write place " +
                                                   std::to_string(at < 0 ? at : at + write.places - 1) +
                                                   "; clear it, or make it larger");
    }
  }
  return {};
}

Status SessionState::Begin(std::span<const Write> writes, const Scalars& scalars) {
  TIMBRE_CHECK(Check(writes, scalars));
  pending_.clear();
  kept_before_ = kept_.size();
  try {
    for (const Write& write : writes) {
      const State& state = states_[write.state];
      const int64_t at = write.whole ? 0 : scalars.I32(write.at);
      if (!write.whole && at < state.used) KeepAside(write.state, at, std::min(at + write.places, state.used) - at);
      pending_.push_back({write.state, write.whole, at, at + write.places});
      moved_ += static_cast<int64_t>(state.bytes()) / (write.whole ? 1 : state.shape[state.axis]) *
                (write.whole ? 1 : write.places);
    }
  } catch (const std::bad_alloc&) {
    BringBack(kept_before_);
    return Fail(ErrorCode::kOutOfMemory, "there was no memory for the places of a state that are written over");
  }
  return {};
}

void SessionState::Put(const Write& write, const Scalars& scalars, const std::byte* x) {
  State& state = states_[write.state];
  if (write.whole) {
    std::memcpy(Next(write.state), x, state.bytes());
    return;
  }
  ForPlaces(state, scalars.I32(write.at), write.places, [&](std::span<std::byte> run) {
    std::memcpy(run.data(), x, run.size());
    x += run.size();
  });
}

void SessionState::Commit(const Twin* by) {
  for (const Pending& pending : pending_) {
    State& state = states_[pending.state];
    if (pending.whole) {
      state.now = state.next();
      Touch(pending.state, 0, 1, by);
    } else {
      state.used = std::max(state.used, pending.end);
      Touch(pending.state, pending.at, pending.end, by);
    }
  }
  pending_.clear();
  if (!marked_) {
    kept_.clear();
    kept_bytes_.clear();
    return;
  }
  // Going back to the mark forgets the places behind it: what was written over there is not asked for again.
  while (kept_.size() > kept_before_ && kept_.back().at >= states_[kept_.back().state].marked_used) {
    kept_bytes_.resize(kept_.back().offset);
    kept_.pop_back();
  }
}

void SessionState::Abandon() {
  BringBack(kept_before_);
  for (const Pending& pending : pending_) {
    State& state = states_[pending.state];
    if (!pending.whole && pending.end > state.used) Zero(state, state.used, pending.end);
  }
  pending_.clear();
}

}  // namespace timbre
