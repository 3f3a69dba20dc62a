#include "pipelines/frames/frame_bands.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/quantities.h"
#include "pipelines/frames/feature_sums.h"
#include "pipelines/frames/frame_store.h"
#include "runtime/session/cpu_needs.h"

namespace timbre {
namespace {

constexpr auto kFloat = static_cast<int64_t>(sizeof(float));

// What a piece takes and makes.
struct PieceSize {
  int64_t frames = 0, height = 0, width = 0;  // of its input
  int64_t out_frames = 0, out_height = 0, out_width = 0;
};

PieceSize SizeOf(const DecoderPiece& piece, int64_t frames, int64_t height, int64_t width) {
  PieceSize size{frames, height, width, frames, height, width};
  if (piece.kind == DecoderPiece::Kind::kDoubled) {
    size.out_height *= 2, size.out_width *= 2;
    if (piece.time) size.out_frames = 2 * frames - 1;
  }
  return size;
}

// Frames [begin, end) of a piece's input, and what they become: frames from `out_begin` on.
struct Band {
  int64_t begin = 0, end = 0;
  int64_t past = 0;  // frames before them that its window has, or 0 where it is none
  int64_t out_begin = 0, out_end = 0;

  int64_t length() const { return past + end - begin; }
};

std::vector<Band> BandsOf(const DecoderPiece& piece, const PieceSize& size, int64_t band_bytes) {
  // Attention sees all frames; a clip of one has no past.
  if (piece.kind == DecoderPiece::Kind::kStart || size.frames == 1) return {{0, size.frames, 0, 0, size.out_frames}};
  // Of a frame, or of what becomes of it.
  const int64_t frame_bytes = std::max(size.height * size.width * piece.in,
                                       size.out_height * size.out_width * piece.out * (piece.time ? 2 : 1)) *
                              kFloat;
  const int64_t most = std::max<int64_t>(1, band_bytes / frame_bytes - piece.past());
  const int64_t count = (size.frames + most - 1) / most;
  std::vector<Band> bands;
  for (int64_t i = 0; i < count; ++i) {
    Band band{size.frames * i / count, size.frames * (i + 1) / count, piece.past()};
    band.out_begin = band.begin, band.out_end = band.end;
    if (piece.time) {
      if (i == 0) band.past = 0;
      band.out_begin = std::max<int64_t>(0, 2 * band.begin - 1), band.out_end = 2 * band.end - 1;
    }
    bands.push_back(band);
  }
  return bands;
}

Result<Graph> GraphOf(const FramesModel& model, const DecoderPiece& piece, const PieceSize& size, const Band& band) {
  const std::unique_ptr<Weights> weights = WeightsFromMap(model.weights);
  return BuildDecoderPiece(model.config, *weights, piece, {band.length(), size.height, size.width}, band.past > 0);
}

// What a band takes: its window, its result and what goes by them here, and its weights, activations and scratch in the
// session.
int64_t WorkingBytes(Graph graph, const DecoderPiece& piece, const PieceSize& size, const Band& band,
                     const DeviceCaps& caps) {
  const int64_t result = (band.out_end - band.out_begin) * size.out_height * size.out_width * piece.out;
  const bool goes_by = piece.passes() || piece.kind == DecoderPiece::Kind::kSecondHalf;
  const int64_t floats = band.length() * size.height * size.width * piece.in + (goes_by ? 2 : 1) * result;
  return floats * kFloat + CpuNeedsOf(std::move(graph), caps).total();
}

// Whether what goes by the block is the input itself, which is then kept.
bool KeepsInput(const DecoderPiece& piece) { return piece.kind == DecoderPiece::Kind::kFirstHalf && !piece.passes(); }

// Frames before this one are not looked at again when the band is done.
int64_t ReleasedAfter(const DecoderPiece& piece, const Band& band) {
  return KeepsInput(piece) ? 0 : std::max<int64_t>(0, band.end - piece.past());
}

// Bytes of all frames that are kept at once while the piece is made.
int64_t MostKept(const DecoderPiece& piece, const PieceSize& size, int64_t band_bytes) {
  const int64_t in = size.height * size.width * piece.in, out = size.out_height * size.out_width * piece.out;
  const bool second_half = piece.kind == DecoderPiece::Kind::kSecondHalf;
  int64_t most = size.frames * (in + (second_half ? out : 0));
  for (const Band& band : BandsOf(piece, size, band_bytes)) {
    int64_t kept = (size.frames - ReleasedAfter(piece, band)) * in + band.out_end * out;
    if (piece.passes()) kept += band.end * out;
    if (second_half) kept += (size.frames - band.end) * out;
    most = std::max(most, kept);
  }
  return most * kFloat;
}

}  // namespace

int64_t BandPlan::in_files(const BandLimits& limits) const {
  return std::clamp<int64_t>(working + frames - limits.memory, 0, frames);
}

namespace {

Result<BandPlan> PlanFor(const FramesModel& model, const LatentShape& shape, int64_t band_bytes,
                         const DeviceCaps& caps) {
  BandPlan plan{.band_bytes = band_bytes};
  PieceSize size{.out_frames = shape.frames, .out_height = shape.height, .out_width = shape.width};
  for (const DecoderPiece& piece : DecoderPieces(model.config)) {
    size = SizeOf(piece, size.out_frames, size.out_height, size.out_width);
    std::map<std::pair<int64_t, int64_t>, double> flops;  // of bands that are alike
    for (const Band& band : BandsOf(piece, size, band_bytes)) {
      const auto [alike, first] = flops.emplace(std::pair(band.length(), band.past), 0.0);
      if (first) {
        TIMBRE_TRY(Graph graph, GraphOf(model, piece, size, band));
        alike->second = FlopsOf(graph);
        plan.working = std::max(plan.working, WorkingBytes(std::move(graph), piece, size, band, caps));
      }
      plan.flops += alike->second;
    }
    plan.frames = std::max(plan.frames, MostKept(piece, size, band_bytes));
  }
  plan.working += kProgramBytes;
  return plan;
}

}  // namespace

Result<BandPlan> PlanBands(const FramesModel& model, const LatentShape& shape, const BandLimits& limits) {
  constexpr int64_t kSmaller = 8, kSmallest = 64 << 10;
  for (int64_t band_bytes = limits.band_bytes;; band_bytes /= kSmaller) {
    TIMBRE_TRY(const BandPlan plan, PlanFor(model, shape, band_bytes, limits.caps));
    if (plan.working + plan.frames <= limits.memory || band_bytes <= kSmallest) return plan;
  }
}

// One tile.
class FrameBands::Piecewise {
 public:
  Piecewise(FrameBands& owner, const Volume& latents, const BandPlan& plan)
      : owner_(owner),
        band_bytes_(plan.band_bytes),
        room_{plan.frames - plan.in_files(owner.limits_), owner.limits_.folder},
        pieces_(DecoderPieces(owner.model_.config)),
        now_(Taken(latents)) {}

  Result<Volume> Run(const Volume& latents) {
    for (int64_t t = 0; t < latents.frames; ++t) TIMBRE_CHECK(now_.Put(t, latents.at(t, 0, 0)));
    for (size_t i = 0; i < pieces_.size(); ++i) TIMBRE_CHECK(RunPiece(i));
    Volume frames(now_.frames(), now_.height(), now_.width(), now_.channels());
    for (int64_t t = 0; t < frames.frames; ++t) {
      TIMBRE_CHECK(now_.Get(t, frames.at(t, 0, 0)));
      now_.ReleaseBefore(t + 1);
    }
    owner_.in_files_ += room_.in_files;
    return frames;
  }

 private:
  FrameStore Taken(const Volume& latents) {
    return {latents.frames, latents.height, latents.width, latents.channels, room_};
  }

  Status RunPiece(size_t index) {
    const DecoderPiece& piece = pieces_[index];
    const PieceSize size = SizeOf(piece, now_.frames(), now_.height(), now_.width());
    FrameStore made(size.out_frames, size.out_height, size.out_width, piece.out, room_);
    std::optional<FrameStore> passed;
    if (piece.passes()) passed.emplace(size.frames, size.height, size.width, piece.out, room_);
    std::vector<float> mean, variance;
    if (piece.normed()) sums_->Groups(owner_.model_.config.norm_num_groups, mean, variance);
    // Of the next piece's norm.
    sums_.reset();
    if (index + 1 < pieces_.size() && pieces_[index + 1].normed()) sums_.emplace(piece.out);

    std::unique_ptr<Session> session;
    std::pair<int64_t, int64_t> shape;
    for (const Band& band : BandsOf(piece, size, band_bytes_)) {
      if (!session || shape != std::pair(band.length(), band.past)) {
        session.reset();  // before the next one takes its memory
        TIMBRE_TRY(session, MakeFor(piece, size, band));
        shape = {band.length(), band.past};
      }
      const int64_t count = band.out_end - band.out_begin;
      std::vector<float> x, y(static_cast<size_t>(count * made.floats())), by;
      TIMBRE_TRY(x, Window(now_, band.begin - band.past, band.end));
      std::vector<const float*> in{x.data()};
      std::vector<float*> out{y.data()};
      if (piece.normed()) in.insert(in.end(), {mean.data(), variance.data()});
      if (piece.kind == DecoderPiece::Kind::kSecondHalf) {
        TIMBRE_TRY(by, Window(*passed_, band.begin, band.end));
        in.push_back(by.data());
      }
      if (passed) {
        by.resize(static_cast<size_t>(count * passed->floats()));
        out.push_back(by.data());
      }
      TIMBRE_CHECK(session->Run(in, out));
      now_.ReleaseBefore(ReleasedAfter(piece, band));
      if (passed_) passed_->ReleaseBefore(band.end);
      for (int64_t t = 0; t < count; ++t) {
        const float* const frame = y.data() + t * made.floats();
        TIMBRE_CHECK(made.Put(band.out_begin + t, frame));
        if (passed) TIMBRE_CHECK(passed->Put(band.out_begin + t, by.data() + t * passed->floats()));
        if (sums_) sums_->Add(frame, made.places(), owner_.pool_);
      }
    }
    passed_.reset();
    if (passed) passed_.emplace(std::move(*passed));
    if (KeepsInput(piece)) passed_.emplace(std::move(now_));
    now_ = std::move(made);
    return {};
  }

  // Frames [begin, end), each before the first being that one.
  static Result<std::vector<float>> Window(const FrameStore& store, int64_t begin, int64_t end) {
    std::vector<float> window(static_cast<size_t>((end - begin) * store.floats()));
    for (int64_t t = begin; t < end; ++t) {
      TIMBRE_CHECK(store.Get(std::max<int64_t>(t, 0), window.data() + (t - begin) * store.floats()));
    }
    return window;
  }

  Result<std::unique_ptr<Session>> MakeFor(const DecoderPiece& piece, const PieceSize& size, const Band& band) {
    TIMBRE_TRY(Graph graph, GraphOf(owner_.model_, piece, size, band));
    TIMBRE_TRY(std::unique_ptr<Session> session,
               MakeSession(std::move(graph), owner_.options_, owner_.pool_, owner_.stats_));
    owner_.device_ = session->device_name();
    owner_.device_reason_ = session->device_reason();
    for (const auto& [kernel, count] : CountKernels(*session)) owner_.kernels_[kernel] += count;
    return session;
  }

  FrameBands& owner_;
  const int64_t band_bytes_;
  FrameRoom room_;
  const std::vector<DecoderPiece> pieces_;
  FrameStore now_;                    // what the next piece takes
  std::optional<FrameStore> passed_;  // what goes by the block that it ends
  std::optional<FeatureSums> sums_;   // of now_, where that is normed next
};

FrameBands::FrameBands(const FramesModel& model, const SessionOptions& options, ThreadPool& pool, Stats* stats,
                       BandLimits limits)
    : model_(model), options_(options), pool_(pool), stats_(stats), limits_(std::move(limits)) {}

Result<Volume> FrameBands::Run(const Volume& latents) {
  TIMBRE_TRY(const BandPlan plan, PlanBands(model_, {latents.frames, latents.height, latents.width}, limits_));
  if (plan.working > limits_.memory) {
    return Fail(
        ErrorCode::kOutOfMemory,
        fmt::format("a band of its frames takes about {} with its weights, of {} that there are; cut it smaller "
                    "by --mode tiled or --tile",
                    BytesText(static_cast<double>(plan.working)), BytesText(static_cast<double>(limits_.memory))));
  }
  kernels_.clear();
  return Piecewise(*this, latents, plan).Run(latents);
}

}  // namespace timbre
