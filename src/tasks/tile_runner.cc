#include "tasks/tile_runner.h"

#include <algorithm>

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
      stems_stride_(tile * features_) {
  mix_.resize(batch * mix_stride_);
  stems_.resize(batch * stems_stride_);
}

Result<std::unique_ptr<TileRunner>> TileRunner::Create(std::shared_ptr<const SeparationModel> model, int64_t tile,
                                                       int batch, const SessionOptions& options, ThreadPool& pool,
                                                       Stats& stats) {
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
    runner->device_name_ = "CPU";
    runner->device_reason_ = "this model is an algorithm without a network";
    return runner;
  }
  TIMBRE_CHECK(runner->Prepare());
  return runner;
}

Status TileRunner::Halve(const Error& error) {
  if (error.code != ErrorCode::kOutOfMemory || session_batch_ == 1 || options_.strict) {
    return tl::unexpected<Error>(error);
  }
  const auto text = [](int batch) { return std::to_string(batch) + (batch == 1 ? " tile" : " tiles"); };
  stats_.Record(model_->info().architecture, text(session_batch_), text(session_batch_ / 2), error.message);
  session_batch_ /= 2;
  return {};
}

Status TileRunner::Prepare() {
  while (true) {
    session_.reset();
    TIMBRE_TRY(Graph graph, model_->BuildTile(tile_, session_batch_));
    Result<std::unique_ptr<Session>> session = MakeSession(std::move(graph), options_, pool_, &stats_);
    if (!session) {
      TIMBRE_CHECK(Halve(session.error()));
      continue;
    }
    session_ = *std::move(session);
    break;
  }
  device_name_ = session_->device_name();
  device_reason_ = session_->device_reason();
  const Graph& graph = session_->graph();
  extras_.clear();
  for (const GraphPort& port : graph.inputs) {
    extras_.emplace_back(port.name == "mix" ? 0 : graph.shape(port.tensor).elements());
  }
  return {};
}

Status TileRunner::RunGraph(const TilePlan& plan, size_t first, int count, int offset) {
  // A batch that is not full computes what the last one left there, and nobody looks at the result.
  const Graph& graph = session_->graph();
  std::vector<const float*> inputs;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    std::vector<float>& extra = extras_[i];
    inputs.push_back(graph.inputs[i].name == "mix" ? Input(offset) : extra.data());
    const size_t each = extra.size() / session_batch_;
    for (int b = 0; each > 0 && b < count; ++b) {
      model_->FillInput(graph.inputs[i].name, plan, plan.tiles[first + offset + b], {&extra[b * each], each});
    }
  }
  float* output = &stems_[offset * stems_stride_];
  return session_->Run(inputs, {&output, 1});
}

Status TileRunner::Run(const TilePlan& plan, size_t first, int count) {
  if (processor_) {
    for (int i = 0; i < count; ++i) TIMBRE_CHECK(processor_->Process(Input(i), &stems_[i * stems_stride_], pool_));
    return {};
  }
  for (int done = 0; done < count;) {
    // session_batch_ halves from batch_, so that a part may only reach beyond the end where batch_ is odd.
    const int offset = std::min(done, batch_ - session_batch_);
    const Status status = RunGraph(plan, first, std::min(session_batch_, count - offset), offset);
    if (status) {
      done = offset + session_batch_;
      continue;
    }
    TIMBRE_CHECK(Halve(status.error()));
    TIMBRE_CHECK(Prepare());
  }
  return {};
}

}  // namespace timbre
