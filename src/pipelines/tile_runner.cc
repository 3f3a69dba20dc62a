#include "pipelines/tile_runner.h"

#include <algorithm>

#include "runtime/session/steps.h"

namespace timbre {

TileRunner::TileRunner(std::shared_ptr<const SeparationModel> model, int64_t tile, int batch,
                       const SessionOptions& options, ThreadPool& pool, Stats& stats)
    : model_(std::move(model)),
      tile_(tile),
      batch_(batch),
      session_batch_(batch),
      options_(options),
      pool_(pool),
      stats_(stats),
      features_(static_cast<int64_t>(model_->info().stems.size()) * model_->info().channels),
      mix_stride_(tile * model_->info().channels),
      stems_stride_(tile * features_) {}

Result<std::unique_ptr<TileRunner>> TileRunner::Create(std::shared_ptr<const SeparationModel> model, int64_t tile,
                                                       int batch, const SessionOptions& options, ThreadPool& pool,
                                                       Stats& stats) {
  if (batch == 0) {
    batch = 1;
    if (auto graph = model->BuildTile(tile, 1)) {  // a model without a graph has nothing to gain
      constexpr int kMost = 8;
      TIMBRE_TRY(batch, BatchThatFits(*graph, options, kMost));
    }
  }
  if (batch < 1 || batch > 256) {
    return Fail(ErrorCode::kInvalidArgument, "a batch of " + std::to_string(batch) + " tiles; it can be 1 to 256");
  }
  const auto width = static_cast<double>(model->info().stems.size() + 1) * model->info().channels;
  if (width * static_cast<double>(tile) * batch > 1 << 29) {
    return Fail(ErrorCode::kOutOfMemory,
                "a batch of " + std::to_string(batch) + " tiles of " + std::to_string(tile) +
                    " samples would take more than 2 GB; ask for a smaller --batch or --segment");
  }
  std::unique_ptr<TileRunner> runner(new TileRunner(std::move(model), tile, batch, options, pool, stats));
  runner->processor_ = runner->model_->MakeProcessor(tile);
  if (runner->processor_) {
    runner->slots_.resize(1);
    runner->device_name_ = "CPU";
    runner->device_reason_ = "this model is an algorithm without a network";
  } else {
    TIMBRE_CHECK(runner->Prepare());
    runner->slots_.resize(runner->session_->in_flight());
  }
  for (Slot& slot : runner->slots_) {
    slot.mix.resize(batch * runner->mix_stride_);
    slot.stems.resize(batch * runner->stems_stride_);
  }
  return runner;
}

Status TileRunner::Halve(const Error& error) {
  const auto text = [](int batch) { return std::to_string(batch) + (batch == 1 ? " tile" : " tiles"); };
  TIMBRE_CHECK(
      Steps(&stats_, options_.strict, session_batch_)
          .Take(Rung::kTiles, model_->info().architecture, text(session_batch_), text(session_batch_ / 2), error));
  session_batch_ /= 2;
  return {};
}

Status TileRunner::HalveAndPrepare(const Error& error) {
  TIMBRE_CHECK(Halve(error));
  return Prepare();
}

Status TileRunner::Prepare() {
  for (Slot& slot : slots_) slot.computing = false;  // what the last session had is computed again
  const auto make = [&]() -> Result<std::unique_ptr<Session>> {
    TIMBRE_TRY(Graph graph, model_->BuildTile(tile_, session_batch_));
    SessionOptions options = options_;
    options.tiles = session_batch_;
    return MakeSession(std::move(graph), options, pool_, &stats_);
  };
  session_.reset();
  TIMBRE_TRY(session_, Descend(make, [&](const Error& error) { return Halve(error); }));
  device_name_ = session_->device_name();
  device_reason_ = session_->device_reason();
  return {};
}

std::vector<const float*> TileRunner::GraphInputs(Slot& slot, int offset) {
  // A batch that is not full computes what the last one left there, and nobody looks at the result.
  const Graph& graph = session_->graph();
  slot.extras.resize(graph.inputs.size());
  std::vector<const float*> inputs;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const GraphPort& port = graph.inputs[i];
    if (port.name == "mix") {
      inputs.push_back(&slot.mix[offset * mix_stride_]);
      continue;
    }
    std::vector<float>& extra = slot.extras[i];
    extra.resize(graph.shape(port.tensor).elements());
    inputs.push_back(extra.data());
    const size_t each = extra.size() / session_batch_;
    for (int b = 0; b < std::min(session_batch_, slot.count - offset); ++b) {
      model_->FillInput(port.name, *slot.plan, slot.plan->tiles[slot.first + offset + b], {&extra[b * each], each});
    }
  }
  return inputs;
}

Status TileRunner::Start(const TilePlan& plan, size_t first, int count) {
  Slot& slot = slots_[next()];
  slot.plan = &plan;
  slot.first = first;
  slot.count = count;
  slot.computing = false;
  // Without memory for the whole batch, parts of it follow on each other in Finish.
  if (!processor_ && session_batch_ == batch_) {
    if (const Status status = session_->Start(static_cast<int>(next()), GraphInputs(slot, 0)); status) {
      slot.computing = true;
    } else {
      TIMBRE_CHECK(HalveAndPrepare(status.error()));
    }
  }
  ++started_;
  return {};
}

Status TileRunner::RunInParts(Slot& slot) {
  for (int done = 0; done < slot.count;) {
    const auto run = [&]() -> Status {
      // session_batch_ halves from batch_, so that a part may only reach beyond the end where batch_ is odd.
      const int offset = std::min(done, batch_ - session_batch_);
      float* const output = &slot.stems[offset * stems_stride_];
      TIMBRE_CHECK(session_->Run(GraphInputs(slot, offset), {&output, 1}));
      done = offset + session_batch_;
      return {};
    };
    TIMBRE_CHECK(Descend(run, [&](const Error& error) { return HalveAndPrepare(error); }));
  }
  return {};
}

Status TileRunner::Finish() {
  const size_t index = oldest_;
  Slot& slot = slots_[index];
  oldest_ = (oldest_ + 1) % slots_.size();
  --started_;
  if (processor_) {
    for (int i = 0; i < slot.count; ++i)
      TIMBRE_CHECK(processor_->Process(InputOf(index, i), &slot.stems[i * stems_stride_], pool_));
    return {};
  }
  if (!slot.computing) return RunInParts(slot);
  float* const output = slot.stems.data();
  const Status status = session_->Finish(static_cast<int>(index), {&output, 1});
  if (status) return {};
  TIMBRE_CHECK(HalveAndPrepare(status.error()));
  return RunInParts(slot);
}

}  // namespace timbre
