#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "audio/byte_source.h"
#include "base/output_set.h"
#include "base/sha256.h"
#include "base/text.h"
#include "formats/safetensors.h"
#include "pipelines/job_schema.h"
#include "pipelines/made_by.h"
#include "pipelines/model_fetching.h"
#include "pipelines/runtime_options.h"
#include "pipelines/song/style_model.h"
#include "pipelines/studio/master.h"
#include "pipelines/studio/prompt.h"
#include "pipelines/studio/studio_job.h"
#include "pipelines/studio/style.h"
#include "pipelines/track_inputs.h"

namespace timbre {
namespace {

constexpr double kVectorSeconds = 300;  // of a clip: MuQ-MuLan hears thirty times ten seconds of it, and averages

enum class Match : uint8_t { kNone, kLoudness, kTone, kBoth };

struct StyleOptions {
  Match match = Match::kNone;
  double ceiling = -1;  // dBTP
  std::string vector;   // where one is written
  std::string text;
  std::string prompt;  // words that are asked what they say
  double blend = 0.7;
  std::string model = "muq-mulan";
  StudioFiles files{.output_dir = "matched"};
};

FieldList StyleFields(StyleOptions& options) {
  const auto without_match = [&options] {
    return options.match == Match::kNone ? "nothing is written without --match" : "";
  };
  FieldList files = StudioFileFields(options.files);
  for (Field& field : files) {
    if (field.name == "start" || field.name == "duration") continue;  // what is compared, too
    field.idle = [without_match, idle = std::move(field.idle)]() -> std::string {
      const std::string why = without_match();
      return why.empty() && idle ? idle() : why;
    };
  }
  FieldList fields = {
      ChoiceField(
          "match", &options.match,
          {{"none", Match::kNone}, {"loudness", Match::kLoudness}, {"tone", Match::kTone}, {"both", Match::kBoth}},
          "write each clip nearer to all together: as loud, by an equaliser of five bands, or both"),
      {.name = "ceiling",
       .value = &options.ceiling,
       .help = "true peak that matched loudness never exceeds",
       .placeholder = "DBTP",
       .min = -40,
       .max = 0,
       .idle = [&options] {
         return options.match == Match::kLoudness || options.match == Match::kBoth ? "" : "--match changes no loudness";
       }}};
  Append(fields, std::move(files));
  Append(fields,
         {{.name = "prompt",
           .value = &options.prompt,
           .help = "say what these words ask for (genre, tempo, mood, instruments, voice), and which of them do",
           .placeholder = "WORDS"}});
  const auto without_vector = [&options] { return options.vector.empty() ? "--vector is not given" : ""; };
  return Append(
      fields,
      {{.name = "vector",
        .value = &options.vector,
        .help = "write the clips' style there, for timbre song --style",
        .placeholder = "FILE.safetensors"},
       {.name = "style-text",
        .value = &options.text,
        .help = "words that the vector leans towards",
        .placeholder = "WORDS",
        .idle = without_vector},
       {.name = "style-blend",
        .value = &options.blend,
        .help = "the clips' part in it, the words have the rest",
        .min = 0,
        .max = 1,
        .idle =
            [&options] { return options.vector.empty() || options.text.empty() ? "--style-text is not given" : ""; }},
       {.name = "style-model",
        .value = &options.model,
        .help = "what makes vectors of sound and words",
        .placeholder = "NAME|FOLDER",
        .idle = without_vector}});
}

Json ToJson(const RunningMean& mean) { return {{"mean", mean.mean}, {"deviation", mean.deviation()}}; }

template <size_t n>
Json Means(const std::array<RunningMean, n>& means) {
  Json list = Json::array();
  for (const RunningMean& mean : means) list.push_back(mean.mean);
  return list;
}

Json ToJson(const SoundFeatures& features) {
  if (features.silent()) return {};
  return {{"centroid_hz", ToJson(features.centroid)},
          {"bandwidth_hz", ToJson(features.bandwidth)},
          {"rolloff_hz", ToJson(features.rolloff)},
          {"zero_crossings", ToJson(features.crossings)},
          {"rms_db", features.rms_db()},
          {"contrast_db", Means(features.contrast)},
          {"harmonic_db", features.harmonic_db()},
          {"tempo_bpm", features.bpm > 0 ? Json(features.bpm) : Json()},
          {"mfcc", Means(features.mfcc)},
          {"chroma", Means(features.chroma)}};
}

Json ToJson(const PromptAnalysis& prompt) {
  Json findings = Json::array();
  for (const PromptFinding& one : prompt.findings) {
    findings.push_back({{"kind", one.kind}, {"value", one.value}, {"words", one.words}, {"negated", one.negated}});
  }
  return {{"text", prompt.Text()},
          {"genres", prompt.genres},
          {"moods", prompt.moods},
          {"tempo_bpm", prompt.bpm},
          {"tempo_low", prompt.bpm_low},
          {"tempo_high", prompt.bpm_high},
          {"instruments", prompt.instruments},
          {"tags", prompt.tags},
          {"without", prompt.without},
          {"vocals", prompt.vocals},
          {"findings", findings}};
}

Json PromptSchema() {
  const Json words = ListSchema(TypeSchema("string"));
  Json prompt = ObjectSchema(
      {{"text", "string"},
       {"genres", words},
       {"moods", words},
       {"tempo_bpm", "number"},
       {"tempo_low", "number"},
       {"tempo_high", "number"},
       {"instruments", words},
       {"tags", words},
       {"without", words},
       {"vocals", "boolean"},
       {"findings", ListSchema(ObjectSchema(
                        {{"kind", "string"}, {"value", "string"}, {"words", "string"}, {"negated", "boolean"}}))}});
  prompt["type"] = {"object", "null"};
  return prompt;
}

Json FeaturesSchema() {
  const Json spread = ObjectSchema({{"mean", "number"}, {"deviation", "number"}});
  Json features = ObjectSchema({{"centroid_hz", spread},
                                {"bandwidth_hz", spread},
                                {"rolloff_hz", spread},
                                {"zero_crossings", spread},
                                {"rms_db", "number"},
                                {"contrast_db", ListSchema(TypeSchema("number"))},
                                {"harmonic_db", "number"},
                                {"tempo_bpm", "number|null"},
                                {"mfcc", ListSchema(TypeSchema("number"))},
                                {"chroma", ListSchema(TypeSchema("number"))}});
  features["type"] = {"object", "null"};
  return features;
}

class StyleJob final : public Job {
 public:
  FieldList Fields() override {
    FieldList fields = inputs_.Fields();
    fields[0].required = false;  // words can be asked alone
    Append(fields, StyleFields(options_));
    return Append(fields, runtime_.Fields());
  }

  Status Run(const JobHost& host, Observer& observer, Json& report) override {
    TIMBRE_CHECK(runtime_.Check());
    options_.files.name = NameFor(options_.files.name, StudioFiles().name, inputs_.recursive);
    report["options"] = FieldsToJson(Reported());
    report["clips"] = Json::array();
    report["style"] = Json();
    report["prompt"] = Json();
    report["steps_down"] = Json::array();
    if (!options_.prompt.empty()) report["prompt"] = Prompt(observer);
    if (inputs_.inputs.empty()) return CheckAlone();
    const bool writes = options_.match != Match::kNone;
    TIMBRE_TRY(const std::vector<TrackInput> files,
               ExpandInputs(inputs_.inputs, inputs_.recursive, writes ? options_.files.output_dir : ""));
    TIMBRE_CHECK(CheckInputs(files));
    TIMBRE_TRY(const AudioPart part, ParsePart(options_.files.part));
    std::vector<std::string> refused(files.size());
    if (writes) {
      TIMBRE_TRY(refused, PlanStudioOutputs(options_.files, "style", files));
      for (const std::string& why : refused) {
        if (!why.empty()) return Fail(ErrorCode::kInvalidArgument, why);
      }
    }
    std::optional<StyleModel> model;
    if (!options_.vector.empty()) {
      TIMBRE_CHECK(FetchIfNamed(options_.model, ModelTask::kStyle, observer));
      TIMBRE_TRY(model, OpenStyleModel(options_.model));
    }
    std::vector<StyleClip> clips;
    for (const TrackInput& file : files) {
      BeginProgress(observer, "listening to", std::filesystem::path(file.path).filename().string());
      Result<StyleClip> clip = Listen(file.path,
                                      {.begin_seconds = model ? kVectorSeconds : 0,
                                       .begin_rate = model ? model->config.sample_rate : 0,
                                       .temporary_folder = options_.files.temp_dir,
                                       .part = part},
                                      observer);
      EndProgress(observer);
      if (!clip) return tl::unexpected<Error>(clip.error());
      if (!clip->warning.empty()) Warn(observer, clip->input + ": " + clip->warning);
      clips.push_back(*std::move(clip));
    }
    const Style style = CompareClips(clips);
    std::vector<std::vector<float>> vectors;
    std::vector<float> direction;
    Stats stats;
    if (model) {
      TIMBRE_TRY(vectors, Vectors(*model, host, clips, observer, stats));
      TIMBRE_TRY(direction, Direction(*model, host, vectors, stats));
    }
    ReportSteps(stats, observer, report);
    Table(clips, style, observer);
    for (size_t i = 0; i < clips.size(); ++i) {
      report["clips"].push_back(ToJson(clips[i], vectors.empty() ? Json() : Json(Cosine(vectors[i], direction))));
    }
    report["style"] = {{"features", timbre::ToJson(style.features)},
                       {"integrated_lufs", style.integrated ? Json(*style.integrated) : Json()},
                       {"vector", model ? Json(options_.vector) : Json()}};
    if (model) {
      TIMBRE_CHECK(WriteVector(direction));
      Say(observer, "the style of all together, in " + options_.vector);
    }
    if (!writes) return {};
    Json unused = Json::array();
    size_t at = 0;
    return ForEachFile(files, refused, "matching", "matched", observer, unused,
                       [&](const TrackInput& file) -> Result<Json> {
                         const size_t i = at++;
                         TIMBRE_TRY(const std::string output, MatchClip(file, clips[i], style, observer));
                         report["clips"][i]["output"] = output;
                         return Json();
                       });
  }

  // What the report says of the options.
  FieldList Reported() {
    FieldList reported = StyleFields(options_);
    return Append(reported, runtime_.Fields());
  }

 private:
  // What the words say, a line for each that says something.
  Json Prompt(Observer& observer) const {
    const PromptAnalysis prompt = AnalysePrompt(options_.prompt);
    Answer(observer, prompt.Text());
    for (const PromptFinding& one : prompt.findings) {
      Answer(observer, fmt::format("  {:<10}  {}{}, by \"{}\"", one.kind, one.negated ? "no " : "", one.value,
                                   PrintableLines(one.words, ' ')));
    }
    return timbre::ToJson(prompt);
  }

  Status CheckAlone() const {
    if (options_.prompt.empty()) {
      return Fail(ErrorCode::kInvalidArgument, "name audio files to compare, or words with --prompt.");
    }
    if (options_.match != Match::kNone || !options_.vector.empty()) {
      return Fail(ErrorCode::kInvalidArgument, "--match and --vector take audio files; name some.");
    }
    return {};
  }

  Status CheckInputs(const std::vector<TrackInput>& files) const {
    if (!options_.vector.empty() && !options_.vector.ends_with(".safetensors")) {
      return Fail(ErrorCode::kInvalidArgument,
                  "--vector writes a .safetensors, and '" + Printable(options_.vector) + "' is none.");
    }
    if (options_.match == Match::kNone) return {};
    if (files.size() == 1) {
      return Fail(ErrorCode::kInvalidArgument, "--match takes several clips; a lone one is like itself.");
    }
    for (const TrackInput& file : files) {
      std::error_code ignored;
      if (IsStandardInput(file.path) || !std::filesystem::is_regular_file(file.path, ignored)) {
        return Fail(ErrorCode::kInvalidArgument,
                    "--match reads clips twice, and '" + Printable(file.path) + "' can be read once.");
      }
    }
    return {};
  }

  Result<std::vector<std::vector<float>>> Vectors(const StyleModel& model, const JobHost& host,
                                                  std::vector<StyleClip>& clips, Observer& observer,
                                                  Stats& stats) const {
    ThreadPool pool(runtime_.threads());
    std::vector<std::vector<float>> vectors;
    for (StyleClip& clip : clips) {
      BeginProgress(observer, "embedding", std::filesystem::path(clip.input).filename().string());
      auto vector = StyleOfSound(model, clip.begin, runtime_.Session(host), pool, &stats);
      EndProgress(observer);
      if (!vector) return Prefix(vector.error(), Printable(clip.input));
      vectors.push_back(*std::move(vector));
      clip.begin = std::vector<float>();  // = {} would keep its memory
    }
    return vectors;
  }

  Result<std::vector<float>> Direction(const StyleModel& model, const JobHost& host,
                                       const std::vector<std::vector<float>>& vectors, Stats& stats) const {
    const std::vector<float> mean = MeanDirection(vectors);
    if (options_.text.empty()) return mean;
    ThreadPool pool(runtime_.threads());
    TIMBRE_TRY(const std::vector<int32_t> tokens, TokensOfWords(model.tokenizer, options_.text));
    TIMBRE_TRY(const std::vector<float> words, StyleOfTokens(model, tokens, runtime_.Session(host), pool, &stats));
    return BlendDirections(mean, MeanDirection({words}), options_.blend);
  }

  Status WriteVector(const std::vector<float>& direction) const {
    OutputSet outputs;
    TensorMap tensors;
    tensors.emplace("style", HostTensor::FromF32({static_cast<int64_t>(direction.size())}, direction));
    TIMBRE_CHECK(WriteSafetensors(options_.vector, tensors, {}, &outputs));
    return outputs.Commit();
  }

  static void Table(const std::vector<StyleClip>& clips, const Style& style, Observer& observer) {
    Answer(observer, "distance   LUFS  centroid  tonal  tempo");
    Answer(observer, "                       Hz     dB    bpm");
    const auto row = [](const std::string& distance, double lufs, const SoundFeatures& f, const std::string& name) {
      return fmt::format("{:>8}  {:>5}  {:>8}  {:>5}  {:>5}  {}", distance, LevelText(lufs),
                         f.silent() ? "-" : fmt::format("{:.0f}", f.centroid.mean),
                         f.silent() ? "-" : LevelText(f.harmonic_db()), f.bpm > 0 ? LevelText(f.bpm) : "-", name);
    };
    for (const StyleClip& clip : clips) {
      std::string line = row(
          clip.distance ? fmt::format("{}{:.1f}", clip.marked() ? "* " : "", clip.distance->value) : std::string("-"),
          clip.loudness.integrated, clip.features, clip.input);
      if (clip.marked()) {
        const auto& terms = clip.distance->terms;
        line += fmt::format(": {} {:+.1f}, {} {:+.1f}", StyleFeatureName(terms[0].feature), terms[0].z,
                            StyleFeatureName(terms[1].feature), terms[1].z);
      }
      Answer(observer, line);
    }
    if (clips.size() > 1) {
      Answer(observer, row("", style.integrated.value_or(-HUGE_VAL), style.features, "all together"));
    }
  }

  static Json ToJson(const StyleClip& clip, Json similarity) {
    Json terms = Json::array(), bands = Json::array();
    if (clip.distance) {
      for (const StyleTerm& term : clip.distance->terms) {
        terms.push_back({{"feature", StyleFeatureName(term.feature)}, {"z", term.z}});
      }
    }
    return {{"input", clip.input},
            {"input_format", clip.input_format},
            {"sample_rate", clip.sample_rate},
            {"channels", clip.channels},
            {"samples", clip.samples},
            {"seconds", clip.seconds},
            {"integrated_lufs", FiniteOrNull(clip.loudness.integrated)},
            {"true_peak_dbtp", FiniteOrNull(clip.loudness.true_peak)},
            {"features", timbre::ToJson(clip.features)},
            {"distance", clip.distance ? Json(clip.distance->value) : Json()},
            {"marked", clip.marked()},
            {"terms", terms},
            {"match_loudness_db", clip.gain_db ? Json(*clip.gain_db) : Json()},
            {"match_tone", ChainToJson({.bands = clip.tone})},
            {"similarity", std::move(similarity)},
            {"output", Json()},
            {"warning", clip.warning.empty() ? Json() : Json(clip.warning)}};
  }

  // What --skip-existing compares. Which other clips there are decides what is written: that is in chain and loudness.
  Result<std::string> MadeByMatching(const MasterChain& chain, const std::optional<double>& loudness) const {
    StyleOptions written = options_;
    FieldList fields = StyleFields(written);
    std::erase_if(fields, [](const Field& field) {
      return field.name == "vector" || field.name == "prompt" || field.name.starts_with("style-");
    });
    return Sha256Of(MadeBy("style", fields) + ChainToJson(chain).dump() +
                    (loudness ? fmt::format(" {}", *loudness) : ""));
  }

  // The clip once more, nearer to the others. The value is its path.
  Result<std::string> MatchClip(const TrackInput& file, const StyleClip& clip, const Style& style,
                                Observer& observer) const {
    const bool tone = options_.match == Match::kTone || options_.match == Match::kBoth;
    const bool loudness = options_.match == Match::kLoudness || options_.match == Match::kBoth;
    MasterOptions options{.ceiling = loudness ? options_.ceiling : 0, .files = options_.files};
    if (loudness && clip.gain_db) options.loudness = style.integrated;
    const MasterChain chain{.bands = tone ? clip.tone : std::vector<ChainBand>{}};
    TIMBRE_TRY(options.files.made_by, MadeByMatching(chain, options.loudness));
    TIMBRE_TRY(const MasterReport made, MasterFile(file, chain, options, observer));
    if (!made.warning.empty()) Warn(observer, file.path + ": " + made.warning);
    Say(observer, made.skipped ? fmt::format("{}: skipped, {} is there", file.path, made.output)
                               : fmt::format("{}: {} to {} LUFS, in {}", file.path, LevelText(made.before.integrated),
                                             LevelText(made.after.integrated), made.output));
    return made.output;
  }

  StudioInputs inputs_;
  StyleOptions options_;
  RuntimeOptions runtime_;
};

}  // namespace

std::unique_ptr<Job> MakeStyleJob() { return std::make_unique<StyleJob>(); }

Json StyleJobReportSchema() {
  const Json clip = InputSchema({{"integrated_lufs", "number|null"},
                                 {"true_peak_dbtp", "number|null"},
                                 {"features", FeaturesSchema()},
                                 {"distance", "number|null"},
                                 {"marked", "boolean"},
                                 {"terms", ListSchema(ObjectSchema({{"feature", "string"}, {"z", "number"}}))},
                                 {"match_loudness_db", "number|null"},
                                 {"match_tone", "object"},
                                 {"similarity", "number|null"},
                                 {"output", "string|null"}});
  Json style =
      ObjectSchema({{"features", FeaturesSchema()}, {"integrated_lufs", "number|null"}, {"vector", "string|null"}});
  style["type"] = {"object", "null"};
  StyleJob job;
  return ObjectSchema({{"options", OptionsSchema(job.Reported())},
                       {"clips", ListSchema(clip)},
                       {"style", style},
                       {"prompt", PromptSchema()},
                       {"steps_down", StepsDownSchema()}});
}

}  // namespace timbre
