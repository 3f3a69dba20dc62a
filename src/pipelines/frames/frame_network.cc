#include "pipelines/frames/frame_network.h"

#include <string>
#include <utility>

#include "pipelines/check_finite.h"
#include "runtime/session/steps.h"

namespace timbre {
namespace {

// Plans are kept for the next tile of their shape while their activations take no more than this together; one alone
// may take as much as it needs.
constexpr int64_t kKeptBytes = int64_t{512} << 20;

}  // namespace

FrameNetwork::FrameNetwork(const FramesModel& model, FramesHalf half, const SessionOptions& options, ThreadPool& pool,
                           Stats* stats, BandLimits limits, std::set<LatentShape> in_bands)
    : model_(model),
      half_(half),
      options_(options),
      pool_(pool),
      stats_(stats),
      bands_(model, options, pool, stats, std::move(limits)),
      in_bands_(std::move(in_bands)) {}

Result<Session*> FrameNetwork::SessionFor(const LatentShape& shape) {
  if (const auto found = sessions_.find(shape); found != sessions_.end()) return found->second.get();
  int64_t kept = 0;
  for (const auto& [other, session] : sessions_) kept += session->arena_bytes();
  // What the new one will take is about as much for each place as what another takes.
  if (!sessions_.empty()) {
    const auto& [other, session] = *sessions_.begin();
    kept += session->arena_bytes() / other.places() * shape.places();
  }
  if (kept > kKeptBytes) sessions_.clear();
  const std::unique_ptr<Weights> weights = WeightsFromMap(model_.weights);
  const bool decoder = half_ == FramesHalf::kDecoder;
  TIMBRE_TRY(Graph graph, decoder ? BuildHunyuanDecoder(model_.config, *weights, shape)
                                  : BuildHunyuanEncoder(model_.config, *weights, shape));
  TIMBRE_TRY(std::unique_ptr<Session> session, MakeSession(std::move(graph), options_, pool_, stats_));
  return (sessions_[shape] = std::move(session)).get();
}

Result<Volume> FrameNetwork::RunAtOnce(const Volume& tile, const LatentShape& shape) {
  TIMBRE_TRY(Session* const session, SessionFor(shape));
  Volume result =
      half_ == FramesHalf::kDecoder
          ? Volume(shape.pictures(), kFrameScale * shape.height, kFrameScale * shape.width, model_.config.out_channels)
          : Volume(shape.frames, shape.height, shape.width, 2 * model_.config.latent_channels);
  const float* const in[] = {tile.values.data()};
  float* const out[] = {result.values.data()};
  TIMBRE_CHECK(session->Run(in, out));
  if (device_.empty()) {
    device_ = session->device_name();
    device_reason_ = session->device_reason();
  }
  CountOnce(shape, CountKernels(*session));
  return result;
}

void FrameNetwork::CountOnce(const LatentShape& shape, const KernelCounts& kernels) {
  if (!counted_.insert(shape).second) return;
  for (const auto& [kernel, count] : kernels) kernels_[kernel] += count;
}

Result<Volume> FrameNetwork::RunInBands(const Volume& tile, const LatentShape& shape) {
  sessions_.clear();  // there is no memory for what may be needed later
  TIMBRE_TRY(Volume result, bands_.Run(tile));
  ++tiles_in_bands_;
  if (device_.empty()) {
    device_ = bands_.device();
    device_reason_ = bands_.device_reason();
  }
  CountOnce(shape, bands_.kernels());
  return result;
}

Result<Volume> FrameNetwork::Run(const Volume& tile) {
  const bool decoder = half_ == FramesHalf::kDecoder;
  const LatentShape shape =
      decoder ? LatentShape{tile.frames, tile.height, tile.width}
              : LatentShape{(tile.frames - 1) / kFrameSteps + 1, tile.height / kFrameScale, tile.width / kFrameScale};
  TIMBRE_TRY(const Volume result,
             Descend([&] { return in_bands_.contains(shape) ? RunInBands(tile, shape) : RunAtOnce(tile, shape); },
                     [&](const Error& error) -> Status {
                       if (!decoder || !in_bands_.insert(shape).second) return tl::unexpected<Error>(error);
                       constexpr int kSeveral = 2;  // bands, that is: there is less than a tile
                       return Steps(stats_, options_.strict, kSeveral)
                           .Take(Rung::kTiles, "decoder", "a tile at once", "bands of frames", error);
                     }));
  TIMBRE_CHECK(
      CheckFinite(result.values, std::string("the ") + (decoder ? "decoder" : "encoder") +
                                     " gave something that is not a number; try --device cpu, and timbre doctor"));
  return result;
}

}  // namespace timbre
