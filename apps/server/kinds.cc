#include "apps/server/kinds.h"

#include <algorithm>
#include <array>
#include <variant>

#include "base/suggest.h"
#include "base/text.h"
#include "http/names.h"
#include "models/catalogue.h"
#include "pipelines/job_json.h"
#include "pipelines/job_schema.h"
#include "pipelines/separate/model_choice.h"

namespace timbre::server {
namespace {

using Use = OptionUse;

struct Rule {
  std::string_view kind, option;  // an empty kind is any
  Use use;
  std::string_view ending = {};  // of a file
};

// Every option that holds text has a rule. Of numbers, flags and choices, which are the client's, those have one that
// make no sense where each job has a folder of its own.
constexpr Rule kRules[] = {
    {"", "name", Use::kWithheld},
    {"", "temp", Use::kWithheld},
    {"", "model_config", Use::kWithheld},
    {"", "checkpoint", Use::kWithheld},
    {"", "config", Use::kWithheld},
    {"", "device", Use::kWithheld},
    {"", "inject", Use::kWithheld},
    {"", "stdout", Use::kWithheld},
    {"", "recursive", Use::kWithheld},
    {"", "skip_existing", Use::kWithheld},
    {"", "separated", Use::kWithheld},
    {"", "model", Use::kModel},
    {"", "from_model", Use::kModel},
    {"", "style_model", Use::kModel},
    {"", "from", Use::kText},
    {"", "stems", Use::kText},
    {"", "two_stems", Use::kText},
    {"", "primary_stem", Use::kText},
    {"", "precision", Use::kText},
    {"", "tune", Use::kText},
    {"", "disable", Use::kText},
    {"", "format", Use::kText},
    {"", "start", Use::kText},
    {"", "duration", Use::kText},
    {"", "preset", Use::kText},
    {"master", "loudness", Use::kText},
    {"master", "chain", Use::kFile, ".yaml"},
    {"loudness", "loudness", Use::kText},
    {"join", "timeline", Use::kFile, ".yaml"},
    {"style", "vector", Use::kNewFile},
    {"style", "style_text", Use::kText},
    {"style", "prompt", Use::kText},
    {"", "weights", Use::kText},
    {"combine", "gains", Use::kText},
    {"combine", "pans", Use::kText},
    {"combine", "semitones", Use::kText},
    {"drums", "config", Use::kFile, ".yaml"},
    {"drums", "set", Use::kText},
    {"drums", "tempo_range", Use::kText},
    {"drums", "plot", Use::kNewFile},
    {"drums", "learn", Use::kFile, ".mid"},
    {"drums", "learned", Use::kNewFile},
    {"drums", "hits", Use::kFile, ".json"},
    {"drums", "video", Use::kNewFile},
    {"drums", "video_size", Use::kText},
    {"drums", "video_audio", Use::kFile, ".wav"},
    {"notes", "audio", Use::kFile, ".wav"},
    {"notes", "size", Use::kText},
    {"notes", "lanes", Use::kFile, ".yaml"},
    {"lyrics", "style", Use::kText},
    {"lyrics", "mood", Use::kText},
    {"lyrics", "tempo", Use::kText},
    {"lyrics", "structure", Use::kText},
    {"text", "ids", Use::kFile, ".txt"},
    {"text", "system", Use::kText},
    {"text", "stop", Use::kText},
    {"text", "logits", Use::kNewFile},
    {"frames", "memory", Use::kText},
    {"frames", "keep_free", Use::kText},
    {"frames", "resume", Use::kWithheld},
    {"frames", "accept_licence", Use::kWithheld},
    {"song", "lyrics", Use::kFile, ".txt"},
    {"song", "phones", Use::kFile, ".txt"},
    {"song", "tokens", Use::kFile, ".txt"},
    {"song", "style", Use::kFile, ".safetensors"},
    {"song", "style_audio", Use::kFile, ".wav"},
    {"song", "style_text", Use::kText},
    {"song", "noise", Use::kFile, ".safetensors"},
    {"song", "latents", Use::kNewFile},
    {"song", "from_latents", Use::kFile, ".safetensors"},
};
// That have a route of their own, or are about the machine.
constexpr std::array<std::string_view, 3> kNotServed = {"pull", "doctor", "bench"};
constexpr std::array<std::string_view, 4> kQuickKinds = {"loudness", "join", "style", "score"};
constexpr std::array<std::string_view, 4> kTogetherKinds = {"join", "combine", "style", "score"};
// Where the client does not say how the one file is called that comes of a job.
constexpr std::pair<std::string_view, std::string_view> kOutputs[] = {{"join", "output.wav"},
                                                                      {"song", "song.wav"},
                                                                      {"lyrics", "lyrics.txt"},
                                                                      {"notes", "notes.mp4"},
                                                                      {"frames", "clip.mp4"}};

template <typename Names>
bool Has(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsText(const Field& field) {
  const bool text = std::holds_alternative<std::string*>(field.value) ||
                    std::holds_alternative<std::vector<std::string>*>(field.value);
  return text && field.choices.empty();
}

const Rule* RuleOf(std::string_view kind, std::string_view option) {
  const Rule* general = nullptr;
  for (const Rule& rule : kRules) {
    if (rule.option != option) continue;
    if (rule.kind == kind) return &rule;
    if (rule.kind.empty()) general = &rule;
  }
  return general;
}

bool IsOutput(const Field& field) {
  return field.name == "output" && std::holds_alternative<std::string*>(field.value);
}

// Of kinds that make one file: its name, by which they tell the format, is the client's to choose.
bool IsOutputFile(const Field& field) { return IsOutput(field) && field.placeholder != "DIR"; }

// Words that stand where other kinds have files, or before them.
bool IsWord(const Field& field) { return field.positional && (field.name == "prompt" || !field.choices.empty()); }

bool NamesFiles(const Field& field) { return field.positional && !IsWord(field); }

Use UseIn(std::string_view kind, const Field& field) {
  const std::string key = KeyOf(field);
  if (IsOutputFile(field)) return Use::kNewFile;
  if (IsOutput(field)) return Use::kWithheld;
  if (IsWord(field)) return Use::kText;
  if (field.positional) return Use::kWithheld;
  if (const Rule* rule = RuleOf(kind, key); rule != nullptr) return rule->use;
  return IsText(field) ? Use::kUnknown : Use::kText;
}

// What a client may set. A timeline names files by their places: projects are exported by a route of their own.
bool MayBeSet(std::string_view kind, const Field& field) {
  const Use use = UseIn(kind, field);
  return use != Use::kWithheld && use != Use::kUnknown && KeyOf(field) != "timeline";
}

FieldList Settable(std::string_view kind, const FieldList& fields) {
  FieldList chosen;
  for (Field field : fields) {
    if (!MayBeSet(kind, field)) continue;
    field.positional = false;  // a word is an option here
    chosen.push_back(std::move(field));
  }
  return chosen;
}

Json FileSchema() {
  Json by_id = ObjectSchema({{"asset", "string"}}), by_text = ObjectSchema({{"text", "string"}, {"name?", "string"}});
  for (Json* schema : {&by_id, &by_text}) (*schema)["additionalProperties"] = false;
  return {{"anyOf", Json::array({by_id, by_text})}};
}

// `words` are those that the kind takes in place of files, or before them.
std::string_view UsualOutput(std::string_view kind, const std::vector<std::string>& words) {
  if (kind == "frames" && Has(words, "encode")) return "latents.safetensors";
  for (const auto& [name, output] : kOutputs) {
    if (name == kind) return output;
  }
  return "output.wav";
}

std::string TextIn(const Json& options, const std::string& key) {
  const auto found = options.find(key);
  return found != options.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

OptionUse UseOf(const JobKind& kind, const Field& field) { return UseIn(kind.name, field); }

std::vector<const JobKind*> ServedKinds() {
  std::vector<const JobKind*> kinds;
  for (const JobKind& kind : JobKinds()) {
    if (!Has(kNotServed, kind.name)) kinds.push_back(&kind);
  }
  return kinds;
}

bool IsQuick(std::string_view kind, const Json& options) {
  // A MIDI file of hits that were found before.
  if (kind == "drums") return options.contains("hits") && !options.contains("video");
  return Has(kQuickKinds, kind);
}

bool TakesFiles(const JobKind& kind) {
  const std::unique_ptr<Job> job = kind.make();
  const FieldList fields = job->Fields();
  return std::any_of(fields.begin(), fields.end(), NamesFiles);
}

bool TakesTogether(std::string_view kind) { return Has(kTogetherKinds, kind); }

Json OptionsSchemaOf(const JobKind& kind) {
  const std::unique_ptr<Job> job = kind.make();
  const FieldList fields = Settable(kind.name, job->Fields());
  Json schema = FieldsSchema(fields);
  for (const Field& field : fields) {
    if (UseIn(kind.name, field) == Use::kFile) schema["properties"][KeyOf(field)] = FileSchema();
  }
  return schema;
}

std::vector<OptionFile> OptionFiles(const std::string& kind, const Json& options) {
  std::vector<OptionFile> files;
  const auto row = FindJobKind(kind);
  if (!row) return files;
  const std::unique_ptr<Job> job = (*row)->make();
  for (const Field& field : job->Fields()) {
    const std::string key = KeyOf(field);
    const auto value = options.find(key);
    if (value == options.end() || value->is_null() || UseIn(kind, field) != Use::kFile) continue;
    const Rule* rule = RuleOf(kind, key);
    files.push_back({key, std::string(rule->ending)});
  }
  return files;
}

Status CheckJob(const std::string& kind, size_t inputs, const Json& options) {
  std::vector<std::string> names;
  const JobKind* found = nullptr;
  for (const JobKind* served : ServedKinds()) {
    names.emplace_back(served->name);
    if (served->name == kind) found = served;
  }
  if (found == nullptr) {
    return Fail(ErrorCode::kInvalidArgument,
                "there is no kind of job '" + Printable(kind) + "'." + SuggestionFor(kind, names));
  }
  const std::unique_ptr<Job> job = found->make();
  const FieldList fields = job->Fields(), settable = Settable(kind, fields);
  const bool takes_files = std::any_of(fields.begin(), fields.end(), NamesFiles);
  // Hits that were found before take the place of the sound.
  if (takes_files && inputs == 0 && !options.contains("hits")) {
    return Fail(ErrorCode::kInvalidArgument, "'inputs' is empty; name at least one asset.");
  }
  if (!takes_files && inputs > 0) return Fail(ErrorCode::kInvalidArgument, kind + " has no 'inputs'.");
  std::vector<std::string> keys;
  for (const Field& field : settable) keys.push_back(KeyOf(field));
  for (const auto& [key, value] : options.items()) {
    const auto field = std::find_if(settable.begin(), settable.end(),
                                    [key = key](const Field& candidate) { return KeyOf(candidate) == key; });
    if (field == settable.end()) {
      return Fail(ErrorCode::kInvalidArgument,
                  "'options' of " + kind + " has no '" + Printable(key) + "' here." + SuggestionFor(key, keys));
    }
    if (UseIn(kind, *field) != Use::kModel || !value.is_string()) continue;
    for (const std::string& name : ModelNames(value.get<std::string>())) {
      if (const auto model = FindModel(name); !model) {
        return Fail(ErrorCode::kInvalidArgument, model.error().message);
      }
    }
  }
  engine::JobRecord record{.kind = kind, .options = options};
  std::vector<std::string> places(inputs, "input.wav");
  for (const OptionFile& file : OptionFiles(kind, options)) places.push_back("file" + file.ending);
  const auto parsed = JobFromJson(OrderOf(record, {.device = "cpu"}, places, "."));
  if (!parsed) return Fail(ErrorCode::kInvalidArgument, parsed.error().message);
  return {};
}

Json OrderOf(const engine::JobRecord& job, const engine::Slot& slot, const std::vector<std::string>& inputs,
             const std::string& folder) {
  Json options = job.options;
  if (job.kind == "pull") {
    return {{"kind", job.kind}, {"inputs", {TextIn(options, "model")}}, {"options", Json::object()}};
  }
  const std::vector<OptionFile> files = OptionFiles(job.kind, options);
  const size_t own = inputs.size() - std::min(inputs.size(), files.size());
  for (size_t i = 0; i < files.size() && own + i < inputs.size(); ++i) options[files[i].option] = inputs[own + i];
  std::vector<std::string> first(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(own));
  // The clips of a timeline are named in it.
  if (options.contains("timeline")) first.clear();
  if (const auto kind = FindJobKind(job.kind); kind) {
    const std::unique_ptr<Job> made = (*kind)->make();
    const FieldList fields = made->Fields();
    FieldList settable = Settable(job.kind, fields);
    // What is wrong with them the worker finds as well.
    (void)FieldsFromJson(settable, options);
    std::vector<std::string> words;
    for (const Field& field : fields) {
      const std::string key = KeyOf(field);
      if (IsWord(field)) {
        if (options.contains(key)) words.push_back(TextIn(options, key));
        options.erase(key);
      } else if (UseIn(job.kind, field) == Use::kNewFile) {
        std::string name = TextIn(options, key);
        if (name.empty() && IsOutputFile(field)) name = UsualOutput(job.kind, words);
        if (!name.empty()) options[key] = folder + "/" + http::SafeFileName(name);
      }
      if (field.idle && !field.idle().empty()) continue;  // to set what has no effect is an error
      if (IsOutput(field) && !IsOutputFile(field)) options["output"] = folder;
      if (key == "device") options["device"] = slot.device;
      // What takes a moment must not take the processors from what takes an hour.
      if (key == "threads" && slot.quick) options["threads"] = 1;
    }
    first.insert(first.begin(), words.begin(), words.end());
  }
  return {{"kind", job.kind}, {"inputs", first}, {"options", options}};
}

}  // namespace timbre::server
