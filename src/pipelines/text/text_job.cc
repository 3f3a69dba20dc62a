// What a language model writes after a prompt.
#include <fmt/format.h>

#include <algorithm>

#include "base/atomic_file.h"
#include "base/quantities.h"
#include "pipelines/job_schema.h"
#include "pipelines/kept_models.h"
#include "pipelines/model_fetching.h"
#include "pipelines/output_files.h"
#include "pipelines/runtime_options.h"
#include "pipelines/text/chat.h"
#include "pipelines/text/prompt_files.h"
#include "pipelines/text/text.h"
#include "pipelines/text/text_model.h"
#include "runtime/check/peak.h"

namespace timbre {
namespace {

class TextJob final : public Job {
 public:
  FieldList Fields() override {
    FieldList fields = {{.name = "prompt",
                         .value = &prompt_,
                         .help = "what to go on from; - is the standard input",
                         .positional = true},
                        {.name = "model",
                         .value = &model_,
                         .help = "a model's name, the path of its folder, or a .gguf file",
                         .placeholder = "NAME|FOLDER|FILE",
                         .letter = 'm'},
                        {.name = "ids",
                         .value = &ids_,
                         .help = "the prompt as ids of tokens: numbers, or 'ids' of a .safetensors file",
                         .placeholder = "FILE"},
                        {.name = "chat", .value = &chat_, .help = "the prompt is a message, and the text its answer"},
                        {.name = "system",
                         .value = &system_,
                         .help = "what the model is told before the message",
                         .placeholder = "TEXT",
                         .idle = [this] { return chat_ ? "" : "it is part of --chat"; }},
                        {.name = "max-tokens",
                         .value = &max_tokens_,
                         .help = "that may follow; 0: none, where only --logits is wanted",
                         .letter = 'n',
                         .min = 0,
                         .max = 1 << 24},
                        {.name = "stop",
                         .value = &stops_,
                         .help = "end before any of these strings; '\\,' is a comma within one",
                         .placeholder = "A,B"},
                        {.name = "logits",
                         .value = &logits_,
                         .help = "write the scores after each token of the prompt: a .safetensors file",
                         .placeholder = "FILE"}};
    Append(fields, sampling_.Fields());
    return Append(fields, runtime_.Fields());
  }

  bool AnswersData() const override { return true; }

  Status Run(const JobHost& host, Observer& observer, Json& report) override {
    TIMBRE_CHECK(runtime_.Check());
    report["options"] = FieldsToJson(Fields());
    if (prompt_.empty() == ids_.empty()) {
      return Fail(ErrorCode::kInvalidArgument, prompt_.empty() ? "A prompt is missing: a text, - or --ids FILE."
                                                               : "--ids is a prompt, and there is another one.");
    }
    if (!ids_.empty() && chat_) return Fail(ErrorCode::kInvalidArgument, "--ids are no message for --chat.");
    if (max_tokens_ == 0 && logits_.empty()) {
      return Fail(ErrorCode::kInvalidArgument, "--max-tokens 0 writes nothing, unless --logits does.");
    }
    if (!logits_.empty()) {
      TIMBRE_CHECK(CheckNotInput(logits_, ids_, "name another file"));
      TIMBRE_CHECK(AtomicFile::Check(logits_));
    }
    TIMBRE_CHECK(FetchIfNamed(model_, ModelTask::kText, observer));
    TIMBRE_TRY(const LanguageModel model,
               LoadKept(host, model_, "language", [this] { return OpenLanguageModel(model_); }));
    report["model"] = {{"name", model.name},
                       {"path", model.path},
                       {"architecture", NameOf(model.config.family)},
                       {"vocabulary", model.config.vocabulary},
                       {"context", model.config.context}};
    std::optional<Tokenizer> tokenizer;
    auto read = TokenizerOf(model);
    if (read) {
      tokenizer = *std::move(read);
    } else if (ids_.empty()) {
      return tl::unexpected<Error>(std::move(read).error());
    } else {
      // Ids are all that is needed.
      Warn(observer, "no text will be shown: " + read.error().message);
    }
    TIMBRE_TRY(const std::vector<int32_t> prompt, PromptIds(tokenizer ? &*tokenizer : nullptr));
    report["prompt_ids"] = prompt;

    ThreadPool pool(runtime_.threads());
    Stats stats;
    const auto reserve = static_cast<int64_t>(prompt.size()) + std::min(max_tokens_, 1 << 20);
    TIMBRE_TRY(const std::unique_ptr<Generator> generator,
               Generator::Create(model, std::min(reserve, model.config.context), runtime_.Session(host), pool, &stats));
    const Session& session = *generator->step_session();
    report["device"] = {{"name", session.device_name()}, {"reason", session.device_reason()}};
    Detail(observer, fmt::format("{} on {}: {}", model.name, session.device_name(), session.device_reason()));
    if (!logits_.empty()) {
      TIMBRE_CHECK(WriteLogits(*generator, prompt, logits_));
      report["logits"] = logits_;
    }
    Status written;
    if (max_tokens_ > 0)
      written = Write(model, *generator, tokenizer ? &*tokenizer : nullptr, prompt, pool, host, observer, report);
    report["device"]["kernels"] = CountKernels(session);
    ReportSteps(stats, observer, report);
    return written;
  }

 private:
  Result<std::vector<int32_t>> PromptIds(const Tokenizer* tokenizer) const {
    if (!ids_.empty()) return ReadIds(ids_);
    TIMBRE_TRY(const std::string text, ReadPrompt(prompt_));
    if (!chat_) return tokenizer->Encode(text);
    TIMBRE_TRY(const ChatTemplate form, ChatTemplate::Recognise(*tokenizer));
    std::vector<ChatMessage> messages;
    if (!system_.empty()) messages.push_back({"system", system_});
    messages.push_back({"user", text});
    return form.Encode(messages, true);
  }

  Status Write(const LanguageModel& model, Generator& generator, const Tokenizer* tokenizer,
               const std::vector<int32_t>& prompt, ThreadPool& pool, const JobHost& host, Observer& observer,
               Json& report) {
    const TextOptions options{
        .max_tokens = max_tokens_, .stops = stops_, .sampling = sampling_.Resolve(model.config.sampling)};
    TextReport text;
    Status written = WriteText(
        generator, tokenizer, prompt, options,
        [&](std::string_view piece) {
          observer.OnEvent({kPieceEvent, std::string(piece)});
        },
        observer, text);
    if (!text.text.empty() && text.text.back() != '\n') observer.OnEvent({kPieceEvent, "\n"});
    if (tokenizer == nullptr && !text.ids.empty()) Answer(observer, fmt::format("{}", fmt::join(text.ids, " ")));
    report["peak_memory_mb"] = PeakMemory() / 1e6;  // before the bandwidth is measured, which takes some
    report["ids"] = text.ids;
    report["text"] = text.text;
    report["end"] = written ? Json(NameOf(text.end)) : Json();
    report["prompt_seconds"] = text.prompt_seconds;
    report["prompt_tokens_per_second"] = text.prompt_tokens_per_second();
    report["seconds_to_first_token"] = text.first_seconds;
    report["tokens_per_second"] = text.tokens_per_second();
    // A step reads every weight of a product once, and what the cache holds: half of that on the average.
    const LanguageModelConfig& c = model.config;
    const auto cached = static_cast<double>(text.prompt_tokens) + static_cast<double>(text.ids.size()) / 2;
    const double cache = cached * 2 * 4 * c.layers * c.kv_heads * c.head;
    const double bytes = static_cast<double>(generator.weight_bytes_per_step()) + cache;
    report["bytes_per_token"] = bytes;
    report["fraction_of_bandwidth"] = Json();
    if (host.alone && host.reported && written && text.tokens_per_second() > 0 &&
        generator.step_session()->device_name().starts_with("CPU")) {
      TIMBRE_TRY(const MemoryBandwidth bandwidth, MeasureMemoryBandwidth(pool));
      report["memory_read_gb_per_s"] = bandwidth.read;
      report["fraction_of_bandwidth"] = bytes * text.tokens_per_second() / 1e9 / bandwidth.read;
    }
    if (written) {
      Detail(observer, fmt::format("{} tokens after {} ({}), the first after {}, then {:.1f} a second", text.ids.size(),
                                   text.prompt_tokens, NameOf(text.end), DurationText(text.first_seconds),
                                   text.tokens_per_second()));
    }
    return written;
  }

  std::string prompt_, model_ = "smollm2-135m", ids_, system_, logits_;
  std::vector<std::string> stops_;
  int max_tokens_ = 200;
  bool chat_ = false;
  SamplingChoice sampling_;
  RuntimeOptions runtime_;
};

}  // namespace

std::unique_ptr<Job> MakeTextJob() { return std::make_unique<TextJob>(); }

Json TextJobReportSchema() {
  const Json ids = ListSchema(TypeSchema("integer"));
  const Json model = ObjectSchema({{"name", "string"},
                                   {"path", "string"},
                                   {"architecture", "string"},
                                   {"vocabulary", "integer"},
                                   {"context", "integer"}});
  return ObjectSchema({{"options", OptionsSchema(TextJob().Fields())},
                       {"model", model},
                       {"prompt_ids", ids},
                       {"device", DeviceSchema()},
                       {"logits?", "string"},
                       {"peak_memory_mb?", "number"},
                       {"ids?", ids},
                       {"text?", "string"},
                       {"end?", "string|null"},
                       {"prompt_seconds?", "number"},
                       {"prompt_tokens_per_second?", "number"},
                       {"seconds_to_first_token?", "number"},
                       {"tokens_per_second?", "number"},
                       {"bytes_per_token?", "number"},
                       {"fraction_of_bandwidth?", "number|null"},
                       {"memory_read_gb_per_s?", "number"},
                       {"steps_down", StepsDownSchema()}});
}

}  // namespace timbre
