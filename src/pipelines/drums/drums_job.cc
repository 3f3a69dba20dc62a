// From a song, a drum track or stems to MIDI.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>

#include "audio/byte_source.h"
#include "base/files.h"
#include "base/output_set.h"
#include "base/temporary_file.h"
#include "base/text.h"
#include "models/named_model.h"
#include "pipelines/drums/drum_files.h"
#include "pipelines/drums/drum_maps.h"
#include "pipelines/drums/drums_hits.h"
#include "pipelines/drums/drums_midi.h"
#include "pipelines/drums/drums_plot.h"
#include "pipelines/dry_run.h"
#include "pipelines/job_presets.h"
#include "pipelines/job_schema.h"
#include "pipelines/output_files.h"
#include "pipelines/runtime_options.h"
#include "pipelines/separate/model_choice.h"
#include "pipelines/separate/separate.h"
#include "pipelines/studio/notes_video.h"
#include "pipelines/track_done.h"
#include "pipelines/track_inputs.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr int kLeastTempo = 30, kMostTempo = 400;  // as docs/drums.yaml allows

constexpr double kDoubtful = 0.75;  // a metre that is less sure is worth a warning

// "80-160", in beats a minute. What the tempo is nearer to lies within: in the middle where it did not.
Status SetTempoRange(const std::string& text, TempoOptions& tempo) {
  if (text.empty()) return {};
  const char* end = text.data() + text.size();
  const auto [dash, low_error] = std::from_chars(text.data(), end, tempo.min_bpm);
  const bool low = low_error == std::errc() && dash != end && *dash == '-';
  const auto [last, high_error] = std::from_chars(low ? dash + 1 : end, end, tempo.max_bpm);
  if (!low || high_error != std::errc() || last != end || !(tempo.min_bpm >= kLeastTempo) ||
      !(tempo.max_bpm <= kMostTempo) || !(tempo.min_bpm < tempo.max_bpm)) {
    return Fail(
        ErrorCode::kInvalidArgument,
        fmt::format("--tempo-range takes two tempi from {} to {}, the lower one first, such as 80-160, not '{}'.",
                    kLeastTempo, kMostTempo, text));
  }
  if (tempo.prior_bpm < tempo.min_bpm || tempo.prior_bpm > tempo.max_bpm) {
    tempo.prior_bpm = std::sqrt(tempo.min_bpm * tempo.max_bpm);
  }
  return {};
}

class DrumsJob final : public Job {
 public:
  FieldList Fields() override {
    FieldList fields = {
        {.name = "input",
         .value = &inputs_,
         .help = "audio files, or folders of them, - for the standard input; with --separated, folders of stems",
         .positional = true}};
    Append(fields, {PresetField(preset_)});
    Append(fields, choice_.Fields("model-config"));
    const auto without_video = [this] { return video_.empty() ? "--video is not given" : ""; };
    Append(
        fields,
        {{.name = "separated", .value = &separated_, .help = "the inputs are folders of stems: kick.wav, snare.wav, …"},
         {.name = "config",
          .value = &config_,
          .help = "thresholds, notes and all else, over the default (docs/drums.yaml)",
          .placeholder = "FILE"},
         {.name = "set",
          .value = &settings_,
          .help = "one value of it: stems.kick.voices.kick.note=35",
          .placeholder = "PATH=VALUE"},
         {.name = "metre",
          .value = &metre_,
          .help = "of the bars; auto: as the hits say",
          .choices = {"auto", "2/4", "3/4", "4/4", "6/8", "12/8"}},
         {.name = "tempo-range",
          .value = &tempo_range_,
          .help = "look for the tempo there, where it is taken for half or twice what it is",
          .placeholder = "LO-HI"},
         {.name = "output",
          .value = &output_dir_,
          .help = "where the MIDI files go",
          .placeholder = "DIR",
          .letter = 'o'},
         {.name = "map",
          .value = &map_,
          .help = "the notes of the MIDI file: General MIDI's, or where a program has its drums",
          .choices = Maps()},
         {.name = "hits",
          .value = &hits_,
          .help = "instead of listening, take these hits: a file of --save-hits or a report, edited",
          .placeholder = "FILE.json"},
         {.name = "save-hits", .value = &save_hits_, .help = "write the hits for editing, beside each MIDI file"},
         {.name = "quantise",
          .value = &quantise_,
          .help = "move notes to the nearest step of the beat's grid; t: triplets",
          .choices = Steps()},
         {.name = "swing",
          .value = &swing_,
          .help = "where between two steps the one between them goes: 0.5 is straight, 0.667 a triplet's",
          .min = 0.5,
          .max = 0.75,
          .idle = [this]() -> std::string {
            if (quantise_ == kAsPlayed) return "--quantise is not given";
            return quantise_.ends_with('t') ? "triplets are not swung" : "";
          }},
         {.name = "video",
          .value = &video_,
          .help = "draw falling notes with the track's sound (timbre notes); one input only",
          .placeholder = "FILE.mp4|webm"},
         {.name = "video-size",
          .value = &pictures_.size,
          .help = "of its pictures: 720p, 1080p, 1440p, 4k or WIDTHxHEIGHT",
          .placeholder = "SIZE",
          .idle = without_video},
         {.name = "video-portrait",
          .value = &pictures_.portrait,
          .help = "upright: the sides change places",
          .idle = without_video},
         {.name = "video-fps",
          .value = &pictures_.fps,
          .help = "pictures a second",
          .min = 10,
          .max = 120,
          .idle = without_video},
         {.name = "video-audio",
          .value = &video_audio_,
          .help = "the sound of --video, where the track can't be: with --hits, --separated or a pipe",
          .placeholder = "FILE",
          .idle =
              [this] {
                if (video_.empty()) return "--video is not given";
                return hits_.empty() && !separated_ && !IsPipe() ? "the track is the sound of --video" : "";
              }},
         TempField(temp_dir_),
         {.name = "keep-stems", .value = &keep_stems_, .help = "keep the stems, in a folder for each track"},
         {.name = "plot",
          .value = &plot_,
          .help = "draw waveforms, hits and beats; one input only",
          .placeholder = "FILE.png|svg"},
         {.name = "learn",
          .value = &learn_,
          .help = "fit the thresholds to this corrected MIDI file; one input only",
          .placeholder = "FILE.mid"},
         {.name = "learned",
          .value = &learned_,
          .help = "where --learn writes them",
          .placeholder = "FILE.yaml",
          .idle = [this] { return learn_.empty() ? "--learn is not given" : ""; }},
         {.name = "recursive", .value = &recursive_, .help = "look into the folders of folders", .letter = 'r'}});
    Append(fields, PartFields(part_));
    Append(fields, {[this] {
             Field field = DryRunField(dry_run_);
             field.idle = [this] { return separated_ || !hits_.empty() ? "there is nothing to part" : ""; };
             return field;
           }()});
    Append(fields, runtime_.Fields());
    // What listens, where the hits are there already.
    for (Field& field : fields) {
      const std::vector<std::string_view> listens = {"separated", "metre",      "tempo-range", "plot",     "learn",
                                                     "learned",   "keep-stems", "temp",        "recursive"};
      if (std::find(listens.begin(), listens.end(), field.name) == listens.end()) continue;
      field.idle = [this, idle = std::move(field.idle)]() -> std::string {
        if (!hits_.empty()) return "--hits takes the place of sound";
        return idle ? idle() : "";
      };
    }
    // What parts a track, where stems are there already.
    FieldList parting = choice_.Fields("model-config");
    Append(parting, PartFields(part_));
    Append(parting, runtime_.Fields());
    for (Field& field : fields) {
      const auto same = [&](const Field& other) { return other.name == field.name; };
      const bool parts =
          field.name == "keep-stems" || field.name == "recursive" || std::any_of(parting.begin(), parting.end(), same);
      if (!parts) continue;
      field.idle = [this, idle = std::move(field.idle)]() -> std::string {
        if (separated_) return "--separated takes folders of stems as they are";
        if (!hits_.empty()) return "--hits takes the place of sound";
        return idle ? idle() : "";
      };
    }
    return fields;
  }

  Status Run(const JobHost& host, Observer& observer, Json& report) override {
    TIMBRE_CHECK(runtime_.Check());
    report["options"] = FieldsToJson(Fields());
    report["tracks"] = Json::array();
    std::vector<std::string> settings = JoinDrumSettings(settings_);
    if (metre_ != "auto") settings.push_back("tempo.metre=" + metre_);
    TIMBRE_TRY(DrumsConfig config, LoadDrumsConfig(config_, settings));
    TIMBRE_CHECK(SetTempoRange(tempo_range_, config.tempo));
    if (!video_.empty() && !video_.ends_with(".mp4") && !video_.ends_with(".webm")) {
      return Fail(ErrorCode::kInvalidArgument, "--video draws a .mp4 or a .webm, and '" + video_ + "' is neither.");
    }
    TIMBRE_CHECK(CheckNotesSize(pictures_));
    if (map_ != kGeneral && !learn_.empty()) {
      return Fail(ErrorCode::kInvalidArgument, "--learn reads General MIDI's notes; leave --map out with it.");
    }
    if (!hits_.empty()) return FromHits(config, observer, report);
    TIMBRE_CHECK(ParsePart(part_));
    if (inputs_.empty()) {
      return Fail(ErrorCode::kInvalidArgument, "An input is missing: a file, a folder, or --hits FILE.json.");
    }
    TIMBRE_TRY(const std::vector<TrackInput> inputs,
               separated_ ? Folders() : ExpandInputs(inputs_, recursive_, output_dir_));
    if (inputs.size() > 1 && (!plot_.empty() || !learn_.empty() || !video_.empty())) {
      return Fail(ErrorCode::kInvalidArgument, "--plot, --learn and --video take one input, and there are several.");
    }
    if (!plot_.empty() && !plot_.ends_with(".png") && !plot_.ends_with(".svg")) {
      return Fail(ErrorCode::kInvalidArgument, "--plot draws a .png or an .svg, and '" + plot_ + "' is neither.");
    }
    if (std::error_code ignored; !video_audio_.empty() && !fs::exists(video_audio_, ignored)) {
      return tl::unexpected<Error>(NoFile(video_audio_));
    }
    MidiSong corrected;
    if (!learn_.empty()) {
      TIMBRE_TRY(corrected, ReadMidi(learn_));
    }
    TIMBRE_CHECK(CheckOutputFolder(output_dir_));
    OutputPlan plan(inputs);
    std::vector<std::string> refused;  // why an input must not be transcribed, or nothing
    std::vector<std::vector<std::string>> outputs;
    for (const TrackInput& input : inputs) {
      std::vector<std::string> paths = {MidiPath(input)};
      if (!plot_.empty()) paths.push_back(plot_);
      if (!learn_.empty()) paths.push_back(learned_);
      if (save_hits_) paths.push_back(HitsPath(MidiPath(input)));
      if (!video_.empty()) paths.push_back(video_);
      TIMBRE_TRY(std::string why, plan.Add(paths, input.path));
      if (!why.empty() && (inputs.size() == 1 || runtime_.strict())) {
        return Fail(ErrorCode::kInvalidArgument, why);
      }
      refused.push_back(std::move(why));
      outputs.push_back(std::move(paths));
    }
    if (dry_run_) TIMBRE_CHECK(choice_.CheckHere());

    ThreadPool pool(runtime_.threads());
    Stats stats;
    Parting parting;
    if (!separated_) {
      TIMBRE_TRY(parting, MakeParting(config, host, pool, stats, observer, report));
    }
    Status done = dry_run_ ? TellPlan(*parting.separator, inputs, refused, outputs, observer, report)
                           : All(config, inputs, refused, parting, corrected, observer, report["tracks"]);
    if (parting.separator) report["device"]["kernels"] = parting.separator->kernels();
    report["peak_memory_mb"] = PeakMemory() / 1e6;
    ReportSteps(stats, observer, report);
    return done;
  }

 private:
  static std::string NameOf(const std::string& input) {
    if (IsStandardInput(input)) return "stdin";
    std::error_code error;
    if (!fs::is_directory(input, error)) return fs::path(input).stem().string();
    // By its real name: "stems/" has none at its end, "." and ".." would lead elsewhere.
    const std::string name = fs::canonical(input, error).filename().string();
    return error || name.empty() ? "stems" : name;
  }
  // Whether the track, where there is one alone, comes from a program.
  bool IsPipe() const {
    std::error_code ignored;
    if (inputs_.size() != 1) return false;
    const fs::file_type type = fs::status(inputs_[0], ignored).type();
    return IsStandardInput(inputs_[0]) || type == fs::file_type::fifo || type == fs::file_type::character;
  }
  // The input's outputs, without their ending: in its tree, where folders of folders are looked into.
  fs::path PlaceOf(const TrackInput& input) const {
    return fs::path(output_dir_) / (recursive_ ? input.folder : "") / NameOf(input.path);
  }
  std::string MidiPath(const TrackInput& input) const { return PlaceOf(input).string() + ".mid"; }

  Result<std::vector<TrackInput>> Folders() const {
    for (const std::string& input : inputs_) {
      std::error_code ignored;
      if (!fs::is_directory(input, ignored)) {
        return Fail(ErrorCode::kInvalidArgument, "'" + input + "' is no folder; --separated takes folders of stems.");
      }
    }
    return std::vector<TrackInput>(inputs_.begin(), inputs_.end());
  }

  // What parts a track, and where its stems lie meanwhile; nothing where the inputs are stems.
  struct Parting {
    std::unique_ptr<OutputSet> made;  // the output folder, where nothing came to lie in it
    std::optional<TemporaryFolder> folder;
    std::unique_ptr<Separator> separator;
  };

  Result<Parting> MakeParting(const DrumsConfig& config, const JobHost& host, ThreadPool& pool, Stats& stats,
                              Observer& observer, Json& report) const {
    const auto no_drums = [&] {
      return Fail(ErrorCode::kInvalidArgument,
                  "The model '" + choice_.model + "' gives no part of a drum kit; take mdx23c-drumsep or larsnet.");
    };
    const auto is_drum = [&](std::string_view stem) { return config.Find(stem) != nullptr; };
    // What the catalogue knows of a model is known before it is fetched.
    if (const ModelEntry* const entry = EntryOfName(choice_.model); entry != nullptr) {
      if (std::none_of(entry->stems.begin(), entry->stems.end(), is_drum)) return no_drums();
    }
    TIMBRE_TRY(LoadedModel model, choice_.Load(host, observer));
    // Float files that are read again at once: nothing is rescaled.
    SeparateOptions options;
    options.sample_format = "f32";
    options.clip = "none";
    options.tags = keep_stems_;
    options.session = runtime_.Session(host);
    for (const std::string& stem : model.info().stems) {
      if (is_drum(stem)) options.stems.push_back(stem);
    }
    if (options.stems.empty()) return no_drums();
    Parting parting;
    // Stems that are kept get their places by being renamed, which only works within a file system.
    const std::string beside = temp_dir_.empty() || keep_stems_ ? output_dir_ : temp_dir_;
    parting.made = std::make_unique<OutputSet>();
    TIMBRE_CHECK(parting.made->MakeFolderOf(beside + "/"));
    TIMBRE_TRY(parting.folder, TemporaryFolder::Create(beside));
    for (const std::string& stem : options.stems) parting.folder->Holds(parting.folder->path() + "/" + stem + ".wav");
    options.output_dir = parting.folder->path();
    options.temp_dir = temp_dir_;
    options.part = part_;
    options.name = "{stem}.{ext}";
    report["model"] = {{"name", model.name}, {"path", model.path}, {"stems", model.info().stems}};
    TIMBRE_TRY(parting.separator, choice_.MakeSeparator({std::move(model)}, options, pool, stats, host, observer));
    const Separator& separator = *parting.separator;
    report["device"] = {{"name", separator.device_name()}, {"reason", separator.device_reason()}};
    report["batch"] = separator.batch();
    Say(observer, fmt::format("{} on {}: {}", choice_.model, separator.device_name(), separator.device_reason()));
    return parting;
  }

  Status TellPlan(Separator& separator, const std::vector<TrackInput>& inputs, const std::vector<std::string>& refused,
                  const std::vector<std::vector<std::string>>& outputs, Observer& observer, Json& report) const {
    TIMBRE_TRY(const AudioPart part, ParsePart(part_));
    const std::vector<std::string>& stems = separator.output_names();
    DryRun run({.folder = output_dir_,
                .temporary = TemporaryFolderFor(keep_stems_ ? "" : temp_dir_, output_dir_, false),
                .write = {.sample_format = SampleFormat::kF32, .clip = ClipMode::kNone},
                .most_channels = separator.model().info().channels,
                .files = stems.size(),
                .kept = keep_stems_,
                .stems_between = separator.stems_between()});
    TIMBRE_TRY(const std::optional<double> per_tile, SecondsPerTile(separator, observer));
    for (size_t i = 0; i < inputs.size(); ++i) {
      DryTrack track{.input = inputs[i].path, .outputs = outputs[i], .refused = refused[i]};
      for (const std::string& stem : stems) {
        if (keep_stems_) track.outputs.push_back((PlaceOf(inputs[i]) / (stem + ".wav")).string());
      }
      TIMBRE_CHECK(run.Add(std::move(track), part, separator, per_tile));
    }
    return run.Tell(observer, report);
  }

  // One track that fails does not keep the others from being transcribed.
  Status All(const DrumsConfig& config, const std::vector<TrackInput>& inputs, const std::vector<std::string>& refused,
             const Parting& parting, const MidiSong& corrected, Observer& observer, Json& tracks) const {
    size_t failed = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      Json track = {{"input", inputs[i].path}};
      Status done = refused[i].empty() ? One(config, inputs[i], parting, corrected, observer, track)
                                       : Status(Fail(ErrorCode::kInvalidArgument, refused[i]));
      EndProgress(observer);
      if (!done) track["error"] = done.error().message;
      tracks.push_back(std::move(track));
      if (done) TrackDone(observer, tracks.back());
      if (done) continue;
      if (inputs.size() == 1 || done.error().code == ErrorCode::kCancelled) return done;
      Warn(observer, done.error().message);
      ++failed;
    }
    if (failed == 0) return {};
    return Fail(ErrorCode::kIo,
                fmt::format("{} of {} tracks could not be transcribed; the warnings say why.", failed, inputs.size()));
  }

  Status One(const DrumsConfig& config, const TrackInput& found, const Parting& parting, const MidiSong& corrected,
             Observer& observer, Json& track) const {
    const std::string& input = found.path;
    const std::string title = separated_ ? NameOf(input) : fs::path(input).filename().string();
    TIMBRE_TRY(const std::vector<DrumStemFile> files,
               separated_ ? FindDrumStems(config, input) : Part(*parting.separator, input, title, observer, track));
    BeginProgress(observer, "listening to", title);
    TIMBRE_TRY(const DrumAnalysis analysis, AnalyseDrumFiles(config, files, observer));
    EndProgress(observer);

    const std::string midi = MidiPath(found);
    OutputSet outputs;
    TIMBRE_TRY(const MidiSong song, WriteSong(analysis, midi, outputs, observer, track));
    // Folders of stems, and what comes through a pipe once, have no sound to go with the pictures.
    const std::string sound = separated_ || IsPipe() ? video_audio_ : input;
    if (sound.empty() && !video_.empty()) Warn(observer, video_ + ": it has no sound; --video-audio names one");
    TIMBRE_CHECK(Video(song, sound, outputs, observer, track));
    if (!plot_.empty()) {
      TIMBRE_CHECK(PlotDrums(analysis, Printable(NameOf(input)), plot_, &outputs));
      track["plot"] = plot_;
    }
    if (!learn_.empty()) TIMBRE_CHECK(Learn(analysis, corrected, outputs, observer, track));
    if (keep_stems_ && !separated_) TIMBRE_CHECK(Keep(PlaceOf(found), files, outputs, track));
    TIMBRE_CHECK(outputs.Commit());
    track["drums"] = DrumsToJson(analysis);
    size_t hits = 0;
    for (const DrumStem& stem : analysis.stems) {
      for (const DrumHit& hit : stem.hits) hits += hit.kept ? 1 : 0;
    }
    const std::string tempo =
        analysis.grid.bpm <= 0
            ? std::string("no tempo found")
            : fmt::format("{:.1f} beats a minute{}, {}/{} ({:.0f} % sure)", analysis.grid.bpm,
                          analysis.grid.steady ? "" : " on average, drifting", analysis.grid.metre.notes,
                          analysis.grid.metre.unit, 100 * analysis.grid.metre_confidence);
    Say(observer, fmt::format("{}: {} hits, {}, in {}", input, hits, tempo, midi));
    if (analysis.grid.bpm > 0 && analysis.grid.metre_confidence < kDoubtful) {
      Warn(observer,
           fmt::format("{}: bars of {}/{} are {:.0f} % sure; --metre says what they are", input,
                       analysis.grid.metre.notes, analysis.grid.metre.unit, 100 * analysis.grid.metre_confidence));
    }
    return {};
  }

  static constexpr std::string_view kGeneral = "general";
  static std::vector<std::string> Maps() {
    std::vector<std::string> names = {std::string(kGeneral)};
    for (const DrumMap& map : DrumMaps()) names.emplace_back(map.name);
    return names;
  }
  static constexpr std::string_view kAsPlayed = "none";
  static std::vector<std::string> Steps() {
    std::vector<std::string> names = {std::string(kAsPlayed)};
    for (const QuantiseStep& step : QuantiseSteps()) names.emplace_back(step.name);
    return names;
  }
  static std::string HitsPath(const std::string& midi) {
    return fs::path(midi).replace_extension(".hits.json").string();
  }

  // The MIDI file of what was heard, on the grid where that is asked for, and the hits for editing, which never are.
  // The value has General MIDI's notes, whatever the file has.
  Result<MidiSong> WriteSong(const DrumAnalysis& analysis, const std::string& path, OutputSet& outputs,
                             Observer& observer, Json& track) const {
    MidiSong song = DrumsToMidi(analysis);
    for (const QuantiseStep& step : QuantiseSteps()) {
      if (step.name == quantise_) Quantise(song, {.steps_per_quarter = step.per_quarter, .swing = swing_});
    }
    MidiSong mapped = song;
    for (const DrumMap& map : DrumMaps()) {
      if (map.name != map_) continue;
      for (const std::string& told : MapDrums(map, mapped)) Warn(observer, fmt::format("{}: {}", path, told));
    }
    TIMBRE_CHECK(WriteMidi(mapped, path, &outputs));
    track["midi"] = path;
    if (!save_hits_) return song;
    TIMBRE_TRY(AtomicFile file, outputs.Create(HitsPath(path)));
    TIMBRE_CHECK(file.Write(std::string_view(DrumHitsToJson(analysis).dump(1) + "\n")));
    TIMBRE_CHECK(file.Commit());
    track["hits_file"] = HitsPath(path);
    return song;
  }

  Status Video(const MidiSong& song, const std::string& sound, OutputSet& outputs, Observer& observer,
               Json& track) const {
    if (video_.empty()) return {};
    BeginProgress(observer, "drawing", video_);
    TIMBRE_TRY(const AudioPart part, ParsePart(part_));
    NotesOptions pictures = pictures_;
    pictures.output = video_;
    pictures.audio = sound;
    pictures.part = part;
    pictures.threads = runtime_.threads();
    // Its notes are those of the MIDI file: named after itself, a video that is there already would be an input.
    const Result<NotesReport> made = MakeNotesVideo(song, track["midi"], pictures, observer, &outputs);
    EndProgress(observer);
    if (!made) return tl::unexpected<Error>(made.error());
    for (const std::string& warning : made->warnings) Warn(observer, warning);
    track["video"] = video_;
    return {};
  }

  // The MIDI file anew, of hits that a person has corrected.
  Status FromHits(const DrumsConfig& config, Observer& observer, Json& report) const {
    if (!inputs_.empty())
      return Fail(ErrorCode::kInvalidArgument, "--hits takes the place of inputs; give one of them.");
    TIMBRE_TRY(const DrumAnalysis analysis, ReadDrumHits(config, hits_));
    TIMBRE_CHECK(CheckOutputFolder(output_dir_));
    fs::path name = fs::path(hits_).stem();  // of song.hits.json it is song
    if (name.extension() == ".hits") name = name.stem();
    const std::string midi = (fs::path(output_dir_) / name).string() + ".mid";
    std::vector<TrackInput> read = {TrackInput(hits_)};
    if (!video_audio_.empty()) read.emplace_back(video_audio_);
    OutputPlan plan(read);
    std::vector<std::string> paths = {midi};
    if (save_hits_) paths.push_back(HitsPath(midi));
    if (!video_.empty()) paths.push_back(video_);
    TIMBRE_TRY(const std::string why, plan.Add(paths, hits_));
    if (!why.empty()) return Fail(ErrorCode::kInvalidArgument, why);
    OutputSet outputs;
    Json track = {{"input", hits_}};
    TIMBRE_TRY(const MidiSong song, WriteSong(analysis, midi, outputs, observer, track));
    TIMBRE_CHECK(Video(song, video_audio_, outputs, observer, track));
    TIMBRE_CHECK(outputs.Commit());
    track["drums"] = DrumsToJson(analysis);
    report["tracks"].push_back(std::move(track));
    report["peak_memory_mb"] = PeakMemory() / 1e6;
    ReportSteps(Stats(), observer, report);
    Say(observer, fmt::format("{}: {} notes, in {}", hits_, song.notes.size(), midi));
    return {};
  }

  static Result<std::vector<DrumStemFile>> Part(Separator& separator, const std::string& input,
                                                const std::string& title, Observer& observer, Json& track) {
    BeginProgress(observer, "parting", title);
    TIMBRE_TRY(const TrackReport parted, separator.Separate(input, observer));
    track["seconds"] = parted.seconds;
    track["real_time_factor"] = parted.real_time_factor;
    if (!parted.warning.empty()) Warn(observer, input + ": " + parted.warning);
    std::vector<DrumStemFile> files;
    for (const StemOutput& output : parted.outputs) files.push_back({output.stem, output.path});
    return files;
  }

  // The stems of a track that is done go into its folder beside the MIDI file.
  static Status Keep(const fs::path& folder, const std::vector<DrumStemFile>& files, OutputSet& outputs, Json& track) {
    for (const DrumStemFile& file : files) {
      const std::string target = (folder / fs::path(file.path).filename()).string();
      TIMBRE_CHECK(outputs.Move(file.path, target));
      track["stem_files"].push_back(target);
    }
    return {};
  }

  Status Learn(const DrumAnalysis& analysis, const MidiSong& corrected, OutputSet& outputs, Observer& observer,
               Json& track) const {
    TIMBRE_TRY(const DrumLearning learning, LearnDrums(analysis, corrected));
    TIMBRE_TRY(AtomicFile file, outputs.Create(learned_));
    TIMBRE_CHECK(file.Write(std::string_view(learning.yaml)));
    TIMBRE_CHECK(file.Commit());
    track["learned"] = {{"path", learned_}, {"stems", Json::array()}};
    for (const DrumLearning::Stem& stem : learning.stems) {
      track["learned"]["stems"].push_back({{"name", stem.name},
                                           {"wanted", stem.wanted},
                                           {"found", stem.found},
                                           {"f1_before", stem.f1_before},
                                           {"f1_after", stem.f1_after}});
      Say(observer, fmt::format("  {}: {} corrected notes, F1 {:.3f} before and {:.3f} after", stem.name, stem.wanted,
                                stem.f1_before, stem.f1_after));
    }
    Say(observer, fmt::format("thresholds in {}; use them with --config", learned_));
    return {};
  }

  std::vector<std::string> inputs_, settings_;
  std::string config_, metre_ = "auto", tempo_range_, output_dir_ = "drums", temp_dir_, plot_, learn_,
                       learned_ = "drums-learned.yaml", hits_, quantise_ = std::string(kAsPlayed), video_, video_audio_,
                       map_ = std::string(kGeneral);
  NotesOptions pictures_;
  double swing_ = 0.5;
  bool separated_ = false, keep_stems_ = false, recursive_ = false, save_hits_ = false, dry_run_ = false;
  PartOptions part_;
  std::string preset_;
  ModelChoice choice_{.model = "mdx23c-drumsep"};
  RuntimeOptions runtime_;
};

}  // namespace

std::unique_ptr<Job> MakeDrumsJob() { return std::make_unique<DrumsJob>(); }

Json DrumsJobReportSchema() {
  const Json features = {{"type", "object"}, {"additionalProperties", TypeSchema("number|null")}};
  const Json hit = ObjectSchema({{"seconds", "number"},
                                 {"kept", "boolean"},
                                 {"voice?", "string"},
                                 {"note?", "integer"},
                                 {"velocity?", "integer"},
                                 {"reason?", "string"},
                                 {"features", features},
                                 {"bleeding?", "string"}});
  const Json stem = ObjectSchema({{"name", "string"},
                                  {"rules", "string"},
                                  {"kept", "integer"},
                                  {"rejected", "integer"},
                                  {"hits", ListSchema(hit)}});
  const Json drums = ObjectSchema({{"seconds", "number"},
                                   {"tempo_bpm", "number|null"},
                                   {"tempo_steady", "boolean"},
                                   {"metre", "string|null"},
                                   {"metre_confidence", "number"},
                                   {"downbeat", "integer"},
                                   {"beats", ListSchema(TypeSchema("number"))},
                                   {"stems", ListSchema(stem)}});
  const Json learned = ObjectSchema({{"name", "string"},
                                     {"wanted", "integer"},
                                     {"found", "integer"},
                                     {"f1_before", "number"},
                                     {"f1_after", "number"}});
  const Json track = ObjectSchema({{"input", "string"},
                                   {"seconds?", "number"},
                                   {"real_time_factor?", "number"},
                                   {"midi", "string"},
                                   {"plot?", "string"},
                                   {"hits_file?", "string"},
                                   {"video?", "string"},
                                   {"learned?", ObjectSchema({{"path", "string"}, {"stems", ListSchema(learned)}})},
                                   {"stem_files?", ListSchema(TypeSchema("string"))},
                                   {"drums", drums}});
  // One that failed tells how far it came.
  Json tracks = TrackSchema(track);
  Json failed = track;
  failed["properties"]["error"] = TypeSchema("string");
  failed["required"] = Json::array({"input", "error"});
  tracks["anyOf"].push_back(failed);
  const Json strings = ListSchema(TypeSchema("string"));
  // With --separated there is no model.
  return ObjectSchema({{"options", OptionsSchema(DrumsJob().Fields())},
                       {"tracks", ListSchema(tracks)},
                       {"model?", ObjectSchema({{"name", "string"}, {"path", "string"}, {"stems", strings}})},
                       {"device?", DeviceSchema()},
                       {"batch?", "integer"},
                       {"plan?", DryRunSchema()},
                       {"peak_memory_mb", "number"},
                       {"steps_down", StepsDownSchema()}});
}

}  // namespace timbre
