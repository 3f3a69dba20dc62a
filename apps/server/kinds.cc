#include "apps/server/kinds.h"

#include <algorithm>
#include <array>
#include <variant>

#include "base/suggest.h"
#include "base/text.h"
#include "http/names.h"
#include "models/catalogue.h"
#include "pipelines/job_json.h"

namespace timbre::server {
namespace {

// Texts that name no place: all other texts are the server's to set, or nobody's.
constexpr std::array<std::string_view, 9> kTexts = {"model",     "from_model", "from", "stems",   "two_stems",
                                                    "precision", "preset",     "tune", "loudness"};
// Models, which a path could stand for.
constexpr std::array<std::string_view, 2> kModels = {"model", "from_model"};
// That make no sense where each job has a folder of its own, or are the slot's.
constexpr std::array<std::string_view, 5> kNever = {"recursive", "skip_existing", "device", "inject", "stdout"};
constexpr std::array<std::string_view, 4> kQuickKinds = {"loudness", "join", "peaks", "style"};

template <typename Names>
bool Has(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsText(const Field& field) {
  const bool text = std::holds_alternative<std::string*>(field.value) ||
                    std::holds_alternative<std::vector<std::string>*>(field.value);
  return text && field.choices.empty();
}

bool IsOutput(const Field& field) {
  return field.name == "output" && std::holds_alternative<std::string*>(field.value);
}

// Of kinds that make one file: its name, by which they tell the format, is the client's to choose.
bool IsOutputFile(const Field& field) { return IsOutput(field) && field.placeholder != "DIR"; }

bool MayBeSet(const Field& field) {
  const std::string key = KeyOf(field);
  if (IsOutputFile(field)) return true;
  if (field.positional || Has(kNever, key)) return false;
  return !IsText(field) || Has(kTexts, key);
}

FieldList Settable(const FieldList& fields) {
  FieldList chosen;
  std::copy_if(fields.begin(), fields.end(), std::back_inserter(chosen), MayBeSet);
  return chosen;
}

bool IsServed(const JobKind& kind) {
  const std::unique_ptr<Job> job = kind.make();
  bool output = false;
  int inputs = 0, files = 0;
  for (const Field& field : job->Fields()) {
    output = output || IsOutput(field);
    if (!field.positional) continue;
    ++inputs;
    files += field.name == "input" && std::holds_alternative<std::vector<std::string>*>(field.value) ? 1 : 0;
  }
  return output && inputs == 1 && files == 1;
}

}  // namespace

std::vector<const JobKind*> ServedKinds() {
  std::vector<const JobKind*> kinds;
  for (const JobKind& kind : JobKinds()) {
    if (IsServed(kind)) kinds.push_back(&kind);
  }
  return kinds;
}

bool IsQuick(std::string_view kind) { return Has(kQuickKinds, kind); }

Json OptionsSchemaOf(const JobKind& kind) {
  const std::unique_ptr<Job> job = kind.make();
  return FieldsSchema(Settable(job->Fields()));
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
  if (inputs == 0) return Fail(ErrorCode::kInvalidArgument, "'inputs' is empty; name at least one asset.");
  const std::unique_ptr<Job> job = found->make();
  std::vector<std::string> keys;
  for (const Field& field : Settable(job->Fields())) keys.push_back(KeyOf(field));
  for (const auto& [key, value] : options.items()) {
    if (!Has(keys, key)) {
      return Fail(ErrorCode::kInvalidArgument,
                  "'options' of " + kind + " has no '" + Printable(key) + "' here." + SuggestionFor(key, keys));
    }
    if (!Has(kModels, key) || !value.is_string()) continue;
    if (const auto model = FindModel(value.get<std::string>()); !model) {
      return Fail(ErrorCode::kInvalidArgument, model.error().message);
    }
  }
  engine::JobRecord record{.kind = kind, .options = options};
  const auto parsed =
      JobFromJson(OrderOf(record, {.device = "cpu"}, std::vector<std::string>(inputs, "input.wav"), "."));
  if (!parsed) return Fail(ErrorCode::kInvalidArgument, parsed.error().message);
  return {};
}

Json OrderOf(const engine::JobRecord& job, const engine::Slot& slot, const std::vector<std::string>& inputs,
             const std::string& folder) {
  Json options = job.options;
  if (const auto kind = FindJobKind(job.kind); kind) {
    const std::unique_ptr<Job> made = (*kind)->make();
    const FieldList fields = made->Fields();
    FieldList settable = Settable(fields);
    // What is wrong with them the worker finds as well.
    (void)FieldsFromJson(settable, options);
    for (const Field& field : fields) {
      if (IsOutputFile(field)) {
        const auto named = options.find("output");
        const bool given = named != options.end() && named->is_string();
        options["output"] = folder + "/" + http::SafeFileName(given ? named->get<std::string>() : "output.wav");
      } else if (IsOutput(field) && (!field.idle || field.idle().empty())) {
        options["output"] = folder;
      }
      if (field.name == "device") options["device"] = slot.device;
      // What takes a moment must not take the processors from what takes an hour.
      if (field.name == "threads" && slot.quick) options["threads"] = 1;
    }
  }
  return {{"kind", job.kind}, {"inputs", inputs}, {"options", options}};
}

}  // namespace timbre::server
