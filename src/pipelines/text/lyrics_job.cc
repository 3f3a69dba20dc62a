// The job of `timbre lyrics`: a language model asked for a song's words.
#include <fmt/format.h>

#include "base/atomic_file.h"
#include "base/quantities.h"
#include "base/text.h"
#include "pipelines/job.h"
#include "pipelines/job_schema.h"
#include "pipelines/kept_models.h"
#include "pipelines/model_fetching.h"
#include "pipelines/runtime_options.h"
#include "pipelines/text/lyrics_writer.h"
#include "pipelines/text/prompt_files.h"
#include "pipelines/text/text.h"
#include "pipelines/text/text_model.h"

namespace timbre {
namespace {

// What stands where neither the user nor the model's authors say anything: lively, but no babble. The penalty of a
// model that only continues texts is that of the music app whose template it is given.
constexpr SamplingOptions kLively{.temperature = 0.9, .top_k = 50, .top_p = 0.95, .repetition_penalty = 1.1};
constexpr double kRawPenalty = 1.2;

// A model that was opened, made to go on from what has begun.
class Writer {
 public:
  static Result<Writer> Create(const LanguageModel& model, const SamplingChoice& choice, const SessionOptions& session,
                               ThreadPool& pool, Stats* stats, Observer& observer) {
    TIMBRE_TRY(Tokenizer tokenizer, TokenizerOf(model));
    auto chat = ChatTemplate::Recognise(tokenizer);
    SamplingDefaults defaults = model.config.sampling;
    defaults.temperature = defaults.temperature.value_or(kLively.temperature);
    defaults.top_k = defaults.top_k.value_or(kLively.top_k);
    defaults.top_p = defaults.top_p.value_or(kLively.top_p);
    defaults.repetition_penalty = defaults.repetition_penalty.value_or(chat ? kLively.repetition_penalty : kRawPenalty);
    constexpr int64_t kUsual = 512;  // positions that a song of some sections takes
    TIMBRE_TRY(auto generator, Generator::Create(model, std::min(kUsual, model.config.context), session, pool, stats));
    return Writer(std::move(tokenizer), chat ? std::optional(*std::move(chat)) : std::nullopt, std::move(generator),
                  choice.Resolve(defaults), observer);
  }

  bool instructed() const { return chat_.has_value(); }
  const Session* session() const { return generator_->step_session(); }
  int64_t tokens() const { return tokens_; }

  Result<TextWritten> GoOn(const TextBegun& begun, int most_tokens, std::span<const std::string> stops, uint64_t seed) {
    std::vector<int32_t> ids;
    if (!begun.messages.empty()) {
      TIMBRE_TRY(ids, chat_->Encode(begun.messages, /*answer=*/true));
    }
    // What the user says is text here as well.
    TIMBRE_TRY(const std::vector<int32_t> text,
               tokenizer_.Encode(begun.text, {.parse_special = false, .add_prefix = begun.messages.empty()}));
    ids.insert(ids.end(), text.begin(), text.end());
    TextOptions options{.max_tokens = most_tokens, .stops = {stops.begin(), stops.end()}, .sampling = sampling_};
    options.sampling.seed = seed;
    TextReport written;
    TIMBRE_CHECK(WriteText(*generator_, &tokenizer_, ids, options, {}, *observer_, written));
    tokens_ += static_cast<int64_t>(written.ids.size());
    const bool complete = written.end == TextEnd::kEndToken || written.end == TextEnd::kStopString;
    return TextWritten{std::move(written.text), complete};
  }

 private:
  Writer(Tokenizer tokenizer, std::optional<ChatTemplate> chat, std::unique_ptr<Generator> generator,
         const SamplingOptions& sampling, Observer& observer)
      : tokenizer_(std::move(tokenizer)),
        chat_(std::move(chat)),
        generator_(std::move(generator)),
        sampling_(sampling),
        observer_(&observer) {}

  Tokenizer tokenizer_;
  std::optional<ChatTemplate> chat_;
  std::unique_ptr<Generator> generator_;
  SamplingOptions sampling_;
  Observer* observer_;
  int64_t tokens_ = 0;
};

// The progress of sections alone: that of the tokens within them would make the bar jump.
class Sections : public Observer {
 public:
  explicit Sections(Observer& outer) : outer_(outer) {}
  void OnEvent(const Event& event) override { outer_.OnEvent(event); }
  bool Cancelled() override { return outer_.Cancelled(); }

 private:
  Observer& outer_;
};

Json ToJson(const Lyrics& lyrics) {
  Json sections = Json::array();
  for (const LyricsSection& section : lyrics.sections) {
    sections.push_back({{"tag", section.tag}, {"lines", section.lines}});
  }
  return {{"text", lyrics.Text()},     {"sections", std::move(sections)}, {"style", lyrics.brief.style},
          {"mood", lyrics.brief.mood}, {"tempo", lyrics.brief.tempo},     {"tries", lyrics.tries}};
}

class LyricsJob final : public Job {
 public:
  FieldList Fields() override {
    FieldList fields = {{.name = "prompt",
                         .value = &options_.about,
                         .help = "what the song is about; - is the standard input",
                         .positional = true,
                         .required = true},
                        {.name = "model",
                         .value = &model_,
                         .help = "a model's name, the path of its folder, or a .gguf file",
                         .placeholder = "NAME|FOLDER|FILE",
                         .letter = 'm'},
                        {.name = "output",
                         .value = &output_,
                         .help = "a file for the lyrics (default: the standard output)",
                         .placeholder = "FILE",
                         .letter = 'o'}};
    Append(fields, LyricsFields(options_));
    Append(fields, sampling_.Fields(kLively));
    return Append(fields, runtime_.Fields());
  }

  bool AnswersData() const override { return output_.empty(); }

  // What its report holds of the options.
  FieldList Reported() {
    FieldList reported = Fields();
    std::erase_if(reported, [](const Field& field) { return field.name == "output"; });
    return reported;
  }

  Status Run(const JobHost& host, Observer& observer, Json& report) override {
    TIMBRE_CHECK(runtime_.Check());
    report["options"] = FieldsToJson(Reported());
    options_.seed = sampling_.seed;
    TIMBRE_TRY(options_.about, ReadPrompt(options_.about));
    while (options_.about.ends_with('\n')) options_.about.pop_back();
    if (sampling_.greedy || sampling_.temperature == 0.0) options_.tries = 1;
    TIMBRE_CHECK(CheckLyricsOptions(options_));
    std::optional<AtomicFile> file;  // what can't be written is known before anything is
    if (!output_.empty()) {
      TIMBRE_TRY(file, AtomicFile::Create(output_));
    }
    TIMBRE_CHECK(FetchIfNamed(model_, ModelTask::kText, observer));
    TIMBRE_TRY(const LanguageModel model,
               LoadKept(host, model_, "language", [this] { return OpenLanguageModel(model_); }));
    report["model"] = {{"name", model.name}, {"path", model.path}, {"architecture", NameOf(model.config.family)}};
    ThreadPool pool(runtime_.threads());
    Stats stats;
    Sections quiet(observer);
    TIMBRE_TRY(Writer writer, Writer::Create(model, sampling_, runtime_.Session(host), pool, &stats, quiet));
    BeginProgress(observer, "writing", "lyrics");
    const auto start = std::chrono::steady_clock::now();
    const auto lyrics = WriteLyrics(
        options_, writer.instructed(),
        [&](const TextBegun& begun, int most, std::span<const std::string> stops, uint64_t seed) {
          return writer.GoOn(begun, most, stops, seed);
        },
        observer);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EndProgress(observer);
    if (const Session* session = writer.session()) {
      report["device"] = {{"name", session->device_name()}, {"reason", session->device_reason()}};
      Detail(observer, fmt::format("{} on {}: {}", model.name, session->device_name(), session->device_reason()));
    }
    report["tokens"] = writer.tokens();
    report["timings"] = {{"total", seconds}};
    report["peak_memory_mb"] = PeakMemory() / 1e6;
    ReportSteps(stats, observer, report);
    if (!lyrics) return tl::unexpected<Error>(lyrics.error());
    report["lyrics"] = ToJson(*lyrics);
    std::string text = lyrics->Text();
    if (!file) {
      text.pop_back();  // the answer's line end is added by who shows it
      Answer(observer, text);
    } else {
      TIMBRE_CHECK(file->Write(text));
      TIMBRE_CHECK(file->Commit());
      Say(observer,
          fmt::format("{}: {} sections in {}", Printable(output_), lyrics->sections.size(), DurationText(seconds)));
    }
    return {};
  }

 private:
  std::string model_ = std::string(kDefaultTextModel), output_;
  LyricsOptions options_;
  SamplingChoice sampling_;
  RuntimeOptions runtime_;
};

}  // namespace

std::unique_ptr<Job> MakeLyricsJob() { return std::make_unique<LyricsJob>(); }

Json LyricsJobReportSchema() {
  const Json section = ObjectSchema({{"tag", "string"}, {"lines", ListSchema(TypeSchema("string"))}});
  const Json lyrics = ObjectSchema({{"text", "string"},
                                    {"sections", ListSchema(section)},
                                    {"style", "string"},
                                    {"mood", "string"},
                                    {"tempo", "integer"},
                                    {"tries", "integer"}});
  return ObjectSchema({{"options", OptionsSchema(LyricsJob().Reported())},
                       {"model", ObjectSchema({{"name", "string"}, {"path", "string"}, {"architecture", "string"}})},
                       {"device?", DeviceSchema()},
                       {"tokens", "integer"},
                       {"timings", ObjectSchema({{"total", "number"}})},
                       {"peak_memory_mb", "number"},
                       {"steps_down", StepsDownSchema()},
                       {"lyrics", lyrics}});
}

}  // namespace timbre
