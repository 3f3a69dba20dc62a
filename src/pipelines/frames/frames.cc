#include "pipelines/frames/frames.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>

#include "base/output_set.h"
#include "base/text.h"
#include "base/timer.h"
#include "models/song/noise.h"
#include "pipelines/frames/frame_network.h"
#include "pipelines/frames/frame_reader.h"
#include "pipelines/frames/frame_writer.h"
#include "pipelines/frames/kept_sections.h"
#include "pipelines/frames/latents.h"
#include "pipelines/frames/preview.h"
#include "pipelines/frames/sections.h"
#include "pipelines/output_files.h"
#include "runtime/check/peak.h"
#include "runtime/device/ledger.h"
#include "runtime/session/cpu_ladder.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kPreviewStretch = 8;  // latents at a time

std::string OutputOf(const FramesOptions& options) {
  if (!options.output.empty()) return options.output;
  return options.decodes() ? "clip.mp4" : "latents.safetensors";
}

// A tile's network, with its progress told and its time taken.
class TileCounter {
 public:
  TileCounter(FrameNetwork& network, int64_t tiles, Observer& observer, FramesReport& report)
      : network_(network), tiles_(tiles), observer_(observer), report_(report) {}

  Result<Volume> Run(const Volume& tile) {
    if (observer_.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
    const ScopedTimer timer(&report_.network);
    Result<Volume> result = network_.Run(tile);
    observer_.OnProgress({.stage = Stage::kCompute,
                          .done = ++report_.tiles + skipped_,
                          .total = tiles_,
                          .audio_seconds = report_.seconds});
    return result;
  }

  // So many need not be computed.
  void Skip(int64_t tiles) { skipped_ += tiles; }

 private:
  FrameNetwork& network_;
  const int64_t tiles_;
  int64_t skipped_ = 0;
  Observer& observer_;
  FramesReport& report_;
};

// What a tile may take: what --memory says or, on the CPU, what is free less --keep-free, but half of it at least.
Result<BandLimits> LimitsOf(const FramesOptions& options, const DeviceChoice& device, const ThreadPool& pool) {
  BandLimits limits{.folder = fs::path(OutputOf(options)).parent_path().string(),
                    .caps = CpuCaps(pool, options.session.precision)};
  if (!options.memory.empty()) {
    TIMBRE_TRY(limits.memory, ParseMemory("--memory", options.memory));
    return limits;
  }
  TIMBRE_TRY(const int64_t keep_free, ParseMemory("--keep-free", options.keep_free));
  const MemoryLedger::Account account = CpuLedger().account();
  if (device.vulkan_index >= 0 || account.capacity == 0) return limits;
  const auto free = static_cast<int64_t>(account.capacity - std::min(account.capacity, account.reserved));
  limits.memory = std::max(free - keep_free, free / 2);
  return limits;
}

// A half of the model, and how the tiles of a piece of work go through it.
Result<std::unique_ptr<FrameNetwork>> MakePlan(const FramesModel& model, FramesHalf half, const TileCounts& counts,
                                               const FramesOptions& options, ThreadPool& pool, Stats& stats,
                                               FramesReport& report) {
  TIMBRE_TRY(const DeviceChoice choice, ChooseDevice(options.session.device));
  TIMBRE_TRY(const BandLimits limits, LimitsOf(options, choice, pool));
  TIMBRE_TRY(report.plan, PlanFrames(model, half, counts, limits));
  if (options.dry_run && choice.vulkan_index < 0) {
    report.estimated = report.plan->flops / 1e9 / MeasureCpuPeak(pool).gflops;
  }
  if (!options.memory.empty()) TIMBRE_CHECK(CheckMemory(*report.plan, limits.memory));
  std::set<LatentShape> in_bands;
  for (const FramePlan::Tile& tile : report.plan->tiles) {
    if (tile.in_bands) in_bands.insert(tile.shape);
  }
  return std::make_unique<FrameNetwork>(model, half, options.session, pool, &stats, limits, std::move(in_bands));
}

void ReportNetwork(const FrameNetwork& network, FramesReport& report) {
  report.device = network.device();
  report.device_reason = network.device_reason();
  report.kernels = network.kernels();
  report.in_bands = network.tiles_in_bands();
  report.in_files = network.in_files();
}

// ---- Decoding ----

// A stretch of one of the files, and the frames that come of it.
struct Piece {
  const Volume* latents = nullptr;
  Section section;

  int64_t length() const { return section.end - section.begin; }
  int64_t frames() const { return kFrameSteps * (length() - 1) + 1; }
};

class Decoding {
 public:
  Decoding(const FramesModel* model, const FramesOptions& options, ThreadPool& pool, Stats& stats, Observer& observer,
           FramesReport& report)
      : model_(model), options_(options), pool_(pool), stats_(stats), observer_(observer), report_(report) {}

  Status Run() {
    const ScopedTimer timer(&report_.total);
    TIMBRE_CHECK(ReadFiles());
    TIMBRE_CHECK(CutIntoPieces());
    if (!options_.preview) {
      TIMBRE_TRY(tiling_, DecoderTiling(options_.mode, options_.tiles));
      if (options_.resume) KeepSections();
      TileCounts counts;
      for (size_t i = 0; i < pieces_.size(); ++i) {
        // What is there need not be computed; of a run that is made it is read when its turn comes.
        if (options_.dry_run && kept_ && Found(pieces_[i], static_cast<int64_t>(i))) continue;
        CountTiles(WorkOf(pieces_[i]), FramesHalf::kDecoder, counts);
      }
      TIMBRE_TRY(network_, MakePlan(*model_, FramesHalf::kDecoder, counts, options_, pool_, stats_, report_));
    }
    if (options_.dry_run) return {};
    const std::string path = OutputOf(options_);
    const VolumeSize size{report_.frames, report_.height, report_.width};
    OutputSet outputs;
    TIMBRE_TRY(
        const std::unique_ptr<FrameWriter> writer,
        FrameWriter::Create(
            path, size, {.fps = options_.fps, .crf = options_.crf, .threads = std::min(16, pool_.threads())}, outputs));
    const VolumeSink write = [&](const Volume& frames) { return writer->Write(frames); };
    SectionJoiner joiner(overlap_, write);
    TIMBRE_CHECK(options_.preview ? Preview(joiner) : Compute(joiner));
    TIMBRE_CHECK(joiner.Finish());
    TIMBRE_CHECK(writer->Finish());
    TIMBRE_CHECK(outputs.Commit());
    if (kept_) kept_->Remove();
    report_.output = path;
    return {};
  }

 private:
  Status ReadFiles() {
    const int64_t channels = model_ == nullptr ? kPreviewChannels : model_->config.latent_channels;
    for (const std::string& path : options_.inputs) {
      TIMBRE_TRY(Volume latents, ReadLatents(path, channels));
      const Volume& first = files_.empty() ? latents : files_.front();
      if (latents.height != first.height || latents.width != first.width) {
        return Fail(ErrorCode::kInvalidArgument, Printable(path) + " holds latents for pictures of another size than " +
                                                     Printable(options_.inputs.front()));
      }
      files_.push_back(std::move(latents));
    }
    return {};
  }

  Status CutIntoPieces() {
    overlap_ = options_.append;
    for (const Volume& file : files_) {
      report_.latents += file.frames;
      if (options_.window == 0) {
        pieces_.push_back({&file, {0, file.frames}});
        continue;
      }
      overlap_ = FramePackOverlap(options_.window);
      TIMBRE_TRY(const std::vector<Section> sections, FramePackSections(file.frames, options_.window));
      for (const Section& section : sections) pieces_.push_back({&file, section});
    }
    for (const Piece& piece : pieces_) {
      report_.frames += piece.frames();
      if (pieces_.size() == 1 || piece.frames() >= overlap_) continue;
      return Fail(ErrorCode::kInvalidArgument, "a section of " + std::to_string(piece.frames()) +
                                                   " frames can't share " + std::to_string(overlap_) +
                                                   " of them; give a smaller --append");
    }
    report_.sections = static_cast<int64_t>(pieces_.size());
    report_.frames -= overlap_ * (report_.sections - 1);
    report_.height = files_.front().height * kFrameScale;
    report_.width = files_.front().width * kFrameScale;
    report_.seconds = static_cast<double>(report_.frames) / options_.fps;
    return {};
  }

  TiledWork WorkOf(const Piece& piece) const {
    return {tiling_,
            {piece.length(), files_.front().height, files_.front().width},
            {piece.frames(), report_.height, report_.width}};
  }

  Status Preview(SectionJoiner& joiner) {
    for (const Piece& piece : pieces_) {
      const Volume latents = piece.latents->Frames(piece.section.begin, piece.section.end);
      for (int64_t at = 0; at < latents.frames; at += kPreviewStretch) {
        if (observer_.Cancelled()) return Fail(ErrorCode::kCancelled, "cancelled");
        TIMBRE_CHECK(joiner.Write(PreviewOf(latents, at, std::min(at + kPreviewStretch, latents.frames))));
      }
      joiner.EndSection();
    }
    return {};
  }

  Status Compute(SectionJoiner& joiner) {
    int64_t tiles = 0;
    for (const Piece& piece : pieces_) tiles += WorkOf(piece).tiles();
    TileCounter counter(*network_, tiles, observer_, report_);
    for (size_t i = 0; i < pieces_.size(); ++i) {
      TIMBRE_CHECK(ComputePiece(pieces_[i], static_cast<int64_t>(i), counter, joiner));
      joiner.EndSection();
      ReportNetwork(*network_, report_);
    }
    return {};
  }

  void KeepSections() {
    const FrameTileSizes& sizes = options_.tiles;
    kept_.emplace(OutputOf(options_),
                  fmt::format("{} mode {} tiles {}/{} {}/{} precision {}", DecoderName(*model_),
                              static_cast<int>(options_.mode), sizes.side, sizes.side_stride, sizes.frames,
                              sizes.frames_stride, static_cast<int>(options_.session.precision)));
  }

  std::optional<Volume> Found(const Piece& piece, int64_t index) {
    std::optional<Volume> found =
        kept_->Find(index, piece.latents->Frames(piece.section.begin, piece.section.end),
                    {piece.frames(), report_.height, report_.width, model_->config.out_channels});
    if (found) ++report_.resumed;
    return found;
  }

  Status ComputePiece(const Piece& piece, int64_t index, TileCounter& counter, SectionJoiner& joiner) {
    Volume all(0, report_.height, report_.width, model_->config.out_channels);
    if (kept_) {
      if (const std::optional<Volume> found = Found(piece, index)) {
        counter.Skip(WorkOf(piece).tiles());
        return joiner.Write(*found);
      }
    }
    TIMBRE_CHECK(RunTiled(
        WorkOf(piece),
        [&](int64_t begin, int64_t end) -> Result<Volume> {
          return piece.latents->Frames(piece.section.begin + begin, piece.section.begin + end);
        },
        [&](const Volume& tile) { return counter.Run(tile); },
        [&](const Volume& frames) -> Status {
          if (!kept_) return joiner.Write(frames);
          all.frames += frames.frames;
          all.values.insert(all.values.end(), frames.values.begin(), frames.values.end());
          return {};
        }));
    if (!kept_) return {};
    TIMBRE_CHECK(kept_->Keep(index, piece.latents->Frames(piece.section.begin, piece.section.end), all));
    return joiner.Write(all);
  }

  const FramesModel* const model_;
  const FramesOptions& options_;
  ThreadPool& pool_;
  Stats& stats_;
  Observer& observer_;
  FramesReport& report_;
  std::vector<Volume> files_;
  std::vector<Piece> pieces_;
  int64_t overlap_ = 0;
  FrameTiling tiling_;
  std::unique_ptr<FrameNetwork> network_;  // null for a preview
  std::optional<KeptSections> kept_;
};

}  // namespace

FieldList FramesFields(FramesOptions& options) {
  const auto of_network = [&options] { return options.preview ? "a preview takes no network" : ""; };
  const auto of_decoding = [&options] { return options.decodes() ? "" : "it belongs to 'frames decode'"; };
  const auto of_encoding = [&options] { return options.decodes() ? "it belongs to 'frames encode'" : ""; };
  Field mode = ChoiceField<FrameMode>(
      "mode", &options.mode,
      {{"tiled", FrameMode::kTiled}, {"framewise", FrameMode::kFramewise}, {"whole", FrameMode::kWhole}},
      "how the clip is cut, which is part of the result: in time and space, in time, not at all");
  mode.idle = of_network;
  return {{.name = "action",
           .value = &options.action,
           .help = "decode: latents into frames; encode: a picture or a video into latents",
           .positional = true,
           .required = true,
           .choices = {"decode", "encode"}},
          {.name = "input",
           .value = &options.inputs,
           .help = "files of latents (.safetensors), in the clip's order; of encode, a picture or a video",
           .positional = true,
           .required = true},
          {.name = "output",
           .value = &options.output,
           .help = "clip.mp4, frame_%05d.png or values.safetensors; of encode, latents.safetensors",
           .placeholder = "FILE",
           .letter = 'o'},
          mode,
          {.name = "fps", .value = &options.fps, .help = "frames a second", .min = 1, .max = 240, .idle = of_decoding},
          {.name = "crf",
           .value = &options.crf,
           .help = "quality of H.264; lower is better and larger",
           .min = 0,
           .max = 51,
           .idle = [&options] { return OutputOf(options).ends_with(".mp4") ? "" : "it belongs to a .mp4"; }},
          {.name = "append",
           .value = &options.append,
           .help = "frames that each file shares with the next, faded over",
           .placeholder = "FRAMES",
           .min = 0,
           .max = 4096,
           .idle = of_decoding},
          {.name = "window",
           .value = &options.window,
           .help = "cut latents into FramePack's sections of so many (9, if nobody changed it), and join those",
           .placeholder = "LATENTS",
           .min = 1,
           .max = 1024,
           .idle =
               [&options] {
                 if (!options.decodes()) return "it belongs to 'frames decode'";
                 return options.append > 0 || options.inputs.size() > 1 ? "it cuts one file, and joins without --append"
                                                                        : "";
               }},
          {.name = "preview",
           .value = &options.preview,
           .help = "a clip of coarse colours within a second, without a network",
           .idle = of_decoding},
          {.name = "resume",
           .value = &options.resume,
           .help = "keep sections that are finished beside the output until it is whole, and go on from those that are "
                   "there",
           .idle =
               [&options] {
                 if (!options.decodes()) return "it belongs to 'frames decode'";
                 return options.preview ? "a preview takes no time" : "";
               }},
          {.name = "sample",
           .value = &options.sample,
           .help = "draw latents at random, as FramePack does, instead of taking their means",
           .idle = of_encoding},
          {.name = "seed",
           .value = &options.seed,
           .help = "of --sample",
           .idle = [&options] { return options.sample ? "" : "it belongs to --sample"; }},
          {.name = "memory",
           .value = &options.memory,
           .help = "what weights and a tile may take together, 8GiB or 800MB: what is larger is decoded in bands of "
                   "frames",
           .placeholder = "SIZE",
           .idle = of_network},
          {.name = "keep-free",
           .value = &options.keep_free,
           .help = "without --memory: leave so much of what the CPU has free",
           .placeholder = "SIZE",
           .idle =
               [&options] {
                 if (options.preview) return "a preview takes no network";
                 return options.memory.empty() ? "" : "--memory says what there is";
               }},
          {.name = "dry-run",
           .value = &options.dry_run,
           .help = "say what tiles, memory, operations and time it takes, and do nothing",
           .idle = of_network},
          {.name = "tile",
           .value = &options.tiles.side,
           .help = "sides of a tile, in pixels",
           .min = 16,
           .max = 4096,
           .idle = of_network,
           .heading = "Tiles"},
          {.name = "tile-stride",
           .value = &options.tiles.side_stride,
           .help = "pixels from one to the next",
           .min = 8,
           .max = 4096,
           .idle = of_network,
           .heading = "Tiles"},
          {.name = "tile-frames",
           .value = &options.tiles.frames,
           .help = "frames of a tile, less one",
           .min = 4,
           .max = 4096,
           .idle = of_network,
           .heading = "Tiles"},
          {.name = "tile-frames-stride",
           .value = &options.tiles.frames_stride,
           .help = "frames from one to the next",
           .min = 4,
           .max = 4096,
           .idle = of_network,
           .heading = "Tiles"}};
}

Status CheckFramesOptions(const FramesOptions& options) {
  const std::string path = OutputOf(options);
  if (options.decodes()) {
    TIMBRE_CHECK(CheckFramePath(path));
  } else if (!path.ends_with(".safetensors")) {
    return Fail(ErrorCode::kInvalidArgument, "'" + Printable(path) + "' does not end in .safetensors, as latents do");
  }
  if (!options.decodes() && options.inputs.size() != 1) {
    return Fail(ErrorCode::kInvalidArgument, "'frames encode' takes one picture or video");
  }
  for (const std::string& input : options.inputs) {
    TIMBRE_CHECK(CheckNotInput(path, input, "choose another --output"));
  }
  TIMBRE_TRY([[maybe_unused]] const FrameTiling tiling, DecoderTiling(options.mode, options.tiles));
  if (!options.memory.empty()) {
    TIMBRE_TRY([[maybe_unused]] const int64_t memory, ParseMemory("--memory", options.memory));
  }
  TIMBRE_TRY([[maybe_unused]] const int64_t keep_free, ParseMemory("--keep-free", options.keep_free));
  return {};
}

Status DecodeFrames(const FramesModel* model, const FramesOptions& options, ThreadPool& pool, Stats& stats,
                    Observer& observer, FramesReport& report) {
  TIMBRE_CHECK(Decoding(model, options, pool, stats, observer, report).Run());
  report.real_time_factor = report.total / report.seconds;
  return {};
}

Status EncodeFrames(const FramesModel& model, const FramesOptions& options, ThreadPool& pool, Stats& stats,
                    Observer& observer, FramesReport& report) {
  {
    const ScopedTimer timer(&report.total);
    TIMBRE_TRY(const std::unique_ptr<FrameReader> reader, FrameReader::Open(options.inputs.front()));
    const FrameReader::Info& info = reader->info();
    report.frames = info.frames;
    report.height = info.height, report.width = info.width;
    report.latents = (info.frames - 1) / kFrameSteps + 1;
    report.sections = 1;
    report.seconds = info.fps > 0 ? static_cast<double>(info.frames) / info.fps : 0;
    report.warnings = info.warnings;
    TiledWork work{.input = {info.frames, info.height, info.width},
                   .output = {report.latents, info.height / kFrameScale, info.width / kFrameScale}};
    TIMBRE_TRY(work.tiling, EncoderTiling(options.mode, options.tiles));
    TileCounts counts;
    CountTiles(work, FramesHalf::kEncoder, counts);
    TIMBRE_TRY(const std::unique_ptr<FrameNetwork> network,
               MakePlan(model, FramesHalf::kEncoder, counts, options, pool, stats, report));
    if (options.dry_run) return {};
    TileCounter counter(*network, work.tiles(), observer, report);
    Volume moments;
    TIMBRE_CHECK(RunTiled(
        work, [&](int64_t begin, int64_t end) { return reader->Frames(begin, end); },
        [&](const Volume& tile) { return counter.Run(tile); },
        [&](const Volume& part) -> Status {
          if (moments.values.empty()) moments = Volume(0, part.height, part.width, part.channels);
          moments.frames += part.frames;
          moments.values.insert(moments.values.end(), part.values.begin(), part.values.end());
          return {};
        }));
    ReportNetwork(*network, report);
    OutputSet outputs;
    const std::string path = OutputOf(options);
    // One number for each latent's, drawn as PyTorch would.
    std::vector<float> noise(options.sample ? moments.values.size() / 2 : 0);
    NormalNoise(options.seed).Fill(noise);
    TIMBRE_CHECK(WriteLatents(path, LatentsOf(moments, noise, model.config.scaling_factor), outputs));
    TIMBRE_CHECK(outputs.Commit());
    report.output = path;
  }
  report.real_time_factor = report.seconds > 0 ? report.total / report.seconds : 0;
  return {};
}

}  // namespace timbre
