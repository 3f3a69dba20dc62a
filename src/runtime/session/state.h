// The resident states of one stream of runs: a key-value cache, a recurrent state, a convolution's history.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/aligned.h"
#include "base/result.h"
#include "base/state_stream.h"
#include "graph/graph.h"
#include "runtime/device/ledger.h"

namespace timbre {

// Lives outside of sessions, so that several of them (one for a prompt, one for a step) may work on it in turn, and one
// may work on several in turn (Session::UseState). Not thread-safe, and not to be touched while a run is under way.
//
// Nothing here ever copies a state whole. One that is written at places knows how many it has been given from the start
// on (`used`); what follows is zero. Going back to a mark therefore means to forget places; only where a run writes
// over places that were in use, those are kept aside first. One that is replaced whole has a second buffer, in which
// the next value is made, and a third where there is a mark: they change roles.
class SessionState {
 public:
  SessionState() = default;
  SessionState(const SessionState&) = delete;
  SessionState& operator=(const SessionState&) = delete;

  // All zero again, as at the start; no mark.
  void Clear();
  // Rollback goes back to where Mark was called last, as often as one likes, Unmark gives up what is kept for that.
  // Errors: kOutOfMemory; kInvalidArgument where there is no mark.
  Status Mark();
  Status Rollback();
  void Unmark();

  // What would be needed to go on elsewhere: of states written at places only those in use. Restore errors: kCorrupt
  // where `from` was not saved from states of these names and shapes; all is cleared then.
  std::vector<std::byte> Save() const;
  Status Restore(std::span<const std::byte> from);
  // The same as part of something larger. Where a restoring stream is not ok() afterwards, Clear is to be called.
  void Visit(StateStream& stream);

  // A float32 state's value, whole. Errors: kNotFound, kInvalidArgument where the size is another.
  Status Set(std::string_view name, std::span<const float> values);
  Result<std::vector<float>> Get(std::string_view name) const;
  // Places given from the start on. 0 for a state that is replaced whole, or unknown.
  int64_t used(std::string_view name) const;

  int64_t bytes() const;  // of memory that is held
  // Bytes of state that were written, kept aside or brought back so far: what runs give, never what is resident.
  int64_t bytes_moved() const { return moved_; }

  // ---- for sessions ----

  // A kStateWrite of a session's graph.
  struct Write {
    int state = 0;  // index here
    bool whole = false;
    ScalarId at = kNoScalar;
    int64_t places = 0;
  };
  // Makes the graph's states, where they are not here already, and gives for each tensor the index of the state that it
  // is, or -1. Errors: kOutOfMemory; kInvalidArgument where one of that name is of another shape or kind.
  Result<std::vector<int>> Attach(const Graph& graph);
  // A graph's writes in the order of its nodes; `indices` from Attach.
  static std::vector<Write> WritesOf(const Graph& graph, std::span<const int> indices);

  // A run: Begin, then everything is written to Now (at places) or to Next (whole), then Commit; or Abandon, and all is
  // as before. Begin errors: kInvalidArgument where places are not there; kOutOfMemory.
  Status Begin(std::span<const Write> writes, const Scalars& scalars);
  // Whether a run could write at these places. Begin asks it too.
  Status Check(std::span<const Write> writes, const Scalars& scalars) const;
  std::byte* Now(int state) { return states_[state].buffers[states_[state].now].data(); }
  std::byte* Next(int state) { return states_[state].buffers[states_[state].next()].data(); }
  // `by`: where the run was computed and the states are so already; null: here.
  struct Twin;
  void Commit(const Twin* by = nullptr);
  void Abandon();
  // What a run wrote elsewhere, contiguous, between Begin and Commit.
  void Put(const Write& write, const Scalars& scalars, const std::byte* x);

  // The states as they lie on a device besides: what is here is what counts, and there what changed here has to be
  // brought first. Owned here, so that sessions of one device share it.
  struct Twin {
    // Places of a state, or, of one that has none, everything where `to` > 0.
    struct Range {
      int64_t from = 0, to = 0;
    };
    virtual ~Twin() = default;
    std::vector<Range> stale;  // of each state; beyond its end: everything
  };
  // The twin that belongs to `device`, or null.
  std::shared_ptr<Twin> TwinOn(const void* device) const;
  void SetTwin(const void* device, std::shared_ptr<Twin> twin);  // null: none, where no session has it
  int count() const { return static_cast<int>(states_.size()); }
  int64_t bytes(int state) const { return static_cast<int64_t>(states_[state].bytes()); }
  bool replaced(int state) const { return states_[state].whole; }
  Twin::Range all(int state) const { return {0, std::max<int64_t>(1, Capacity(states_[state]))}; }
  // The bytes of a range as contiguous runs, and where in the state each begins.
  std::vector<std::pair<int64_t, std::span<const std::byte>>> RunsOf(int state, Twin::Range range) const;

 private:
  struct State {
    std::string name;
    Shape shape;
    DType dtype = DType::kF32;
    int axis = -1;  // of the places; -1: not written at places
    bool whole = false;
    std::array<AlignedBytes, 3> buffers;
    Reservation reserved;      // of the CPU's memory, for them
    int now = 0, marked = -1;  // which buffer
    int64_t used = 0, marked_used = 0;

    int next() const { return now != 0 && marked != 0 ? 0 : now != 1 && marked != 1 ? 1 : 2; }
    size_t bytes() const { return static_cast<size_t>(shape.elements()) * SizeOf(dtype); }
    Status Make(int buffer, bool zeroed = false);
  };
  // Places that were written over.
  struct Kept {
    int state;
    int64_t at, places;
    size_t offset;  // into kept_bytes_
  };
  struct Pending {
    int state;
    bool whole;
    int64_t at, end;
  };

  static int64_t Capacity(const State& state) { return state.axis < 0 ? 1 : state.shape[state.axis]; }
  void Touch(int state, int64_t from, int64_t to, const Twin* but = nullptr);
  void TouchAll();
  int Find(std::string_view name) const;
  uint64_t Identity() const;  // of names, shapes and types
  // Calls f(bytes) for each contiguous run of the places.
  template <typename F>
  void ForPlaces(State& state, int64_t at, int64_t places, const F& f);
  void KeepAside(int state, int64_t at, int64_t places);
  void BringBack(size_t first);
  void Zero(State& state, int64_t from, int64_t to);

  std::vector<State> states_;
  std::map<const void*, std::shared_ptr<Twin>> twins_;
  std::vector<Kept> kept_;
  std::vector<std::byte> kept_bytes_;
  std::vector<Pending> pending_;
  size_t kept_before_ = 0;  // of the run
  bool marked_ = false;
  int64_t moved_ = 0;
};

}  // namespace timbre
