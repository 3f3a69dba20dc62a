#include "apps/cli/remote_job.h"

#include <fmt/format.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "apps/server/kinds.h"
#include "audio/byte_source.h"
#include "base/text.h"
#include "engine/ids.h"
#include "http/names.h"
#include "pipelines/track_inputs.h"

namespace timbre::cli {
namespace fs = std::filesystem;

namespace {

// At the server at once; the first of them is waited for before another is sent.
constexpr size_t kMostAtOnce = 32;

// Of a request's JSON, which a server takes no more of.
constexpr size_t kMostText = size_t{1} << 20;

Result<std::string> ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMostText + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (!file.eof()) {
    return Fail(ErrorCode::kInvalidArgument,
                "'" + Printable(path) + "' " +
                    (text.size() > kMostText ? "is longer than the MiB that a server takes." : "can't be read."));
  }
  return text;
}

// Where in its report a kind has what its command answers, and a server has it write into a file instead.
constexpr std::pair<std::string_view, const char*> kAnswers[] = {{"lyrics", "/lyrics/text"}};

// Kinds that answer with a table, and how many lines its head has: of several jobs it is told once.
constexpr std::pair<std::string_view, size_t> kTables[] = {{"loudness", 2}};

tl::unexpected<Error> NoStandardInput() {
  return Fail(ErrorCode::kInvalidArgument, "the standard input does not go with --server; name a file.");
}

// What the command line says, as a server wants it.
struct Wish {
  std::vector<std::string> inputs;
  Report options = Report::object();
  std::string device = "auto";
  std::string output;
  bool together = false;  // one job of all inputs
  bool one_file = false;  // `output` is a file
  bool answers = false;   // nothing is written here
  bool recursive = false;
  bool named = false;  // each input has a part of its own: no folder stands for several, and one may come twice
  struct File {
    std::string path, ending;
  };
  std::map<std::string, File> files;          // here, that options name
  std::map<std::string, std::string> places;  // where files of those names are wanted; others in `output`
};

Result<Wish> WishOf(std::string_view kind, Job& job) {
  TIMBRE_TRY(const JobKind* const row, FindJobKind(kind));
  const std::unique_ptr<Job> usual = row->make();
  const FieldList given = job.Fields(), defaults = usual->Fields();
  const Report settable = server::OptionsSchemaOf(*row)["properties"];
  // What words a command takes answers in words.
  Wish wish{.together = server::TakesTogether(kind), .answers = job.AnswersData()};
  for (size_t i = 0; i < given.size(); ++i) {
    const Field& field = given[i];
    const std::string key = KeyOf(field);
    if (field.positional) {
      const auto* const text = std::get_if<std::string*>(&field.value);
      if (const auto* const list = std::get_if<std::vector<std::string>*>(&field.value)) wish.inputs = **list;
      if (text != nullptr && (*text)->empty()) continue;
      // A word is an option there, a file an input.
      const bool word = settable.contains(key);
      if (text != nullptr && word && **text == "-") return NoStandardInput();
      if (text != nullptr && word) wish.options[key] = **text;
      if (text != nullptr && !word) {
        wish.inputs.push_back(**text);
        wish.named = true;
      }
      continue;
    }
    const Report value = FieldsToJson({field})[key], before = FieldsToJson({defaults[i]})[key];
    if (key == "output") {
      wish.output = value.is_string() ? value.get<std::string>() : "";
      wish.one_file = field.placeholder != "DIR";
    } else if (key == "recursive") {
      wish.recursive = value == true;
    } else if (value == before) {
      continue;
    } else if (key == "device") {
      wish.device = value.is_string() ? value.get<std::string>() : "auto";
    } else if (!settable.contains(key)) {
      return Fail(ErrorCode::kInvalidArgument, FlagOf(defaults[i]) +
                                                   " does not go with --server, where each job has a " +
                                                   "folder of its own and names no places.");
    } else if (server::UseOf(*row, field) == server::OptionUse::kNewFile) {
      const std::string path = value.get<std::string>();
      const std::string name = http::SafeFileName(fs::path(path).filename().string());
      wish.options[key] = name;
      wish.places[name] = path;
    } else {
      wish.options[key] = value;
    }
  }
  for (const server::OptionFile& file : server::OptionFiles(std::string(kind), wish.options)) {
    wish.files[file.option] = {.path = wish.options[file.option].get<std::string>(), .ending = file.ending};
  }
  return wish;
}

// Jobs that are at the server, in the order in which they were sent.
class Batch {
 public:
  Batch(std::string_view kind, const Wish& wish, Remote& remote, Terminal& terminal, Report& jobs)
      : kind_(kind), wish_(wish), remote_(remote), terminal_(terminal), jobs_(jobs) {}

  // Cancelled, or the server is gone: the only failures. Others are counted.
  Status Add(const std::vector<std::string>& inputs) {
    const std::string shown = inputs.size() == 1 ? inputs[0]
                              : inputs.empty()   ? kind_
                                                 : fmt::format("{} files", inputs.size());
    const Result<std::string> id = Send(inputs);
    if (!id) return Note(shown, id.error());
    waiting_.push_back({*id, shown});
    if (waiting_.size() < kMostAtOnce) return {};
    return TakeFirst();
  }
  Status TakeAll() {
    while (!waiting_.empty()) TIMBRE_CHECK(TakeFirst());
    return {};
  }
  // The files among the options, which all jobs share.
  Status SendOptions() {
    options_ = wish_.options;
    for (const auto& [option, file] : wish_.files) {
      if (IsStandardInput(file.path)) return NoStandardInput();
      const bool is_text = file.ending == ".yaml" || file.ending == ".json" || file.ending == ".txt";
      if (!is_text || file.path.ends_with(".safetensors")) {
        TIMBRE_TRY(const std::string asset, remote_.Upload(file.path));
        options_[option] = {{"asset", asset}};
      } else {
        TIMBRE_TRY(const std::string text, ReadText(file.path));
        options_[option] = {{"text", text}, {"name", fs::path(file.path).filename().string()}};
      }
    }
    return {};
  }
  size_t failed() const { return failed_; }
  const Error& last_error() const { return last_error_; }

 private:
  struct Sent {
    std::string id, input;
  };

  Result<std::string> Send(const std::vector<std::string>& inputs) {
    Report request = {{"kind", kind_}, {"inputs", Report::array()}, {"options", options_}, {"device", wish_.device}};
    for (const std::string& input : inputs) {
      if (IsStandardInput(input)) return NoStandardInput();
      TIMBRE_TRY(const std::string asset, remote_.Upload(input));
      request["inputs"].push_back({{"asset", asset}, {"name", fs::path(input).filename().string()}});
    }
    if (wish_.one_file && !wish_.output.empty())
      request["options"]["output"] = fs::path(wish_.output).filename().string();
    // A request whose answer is lost is not a second job.
    TIMBRE_TRY(const Report job, remote_.Ask("POST", "/v1/jobs", request, "Idempotency-Key: " + engine::NewId()));
    return job.value("id", "");
  }

  Status TakeFirst() {
    const Sent sent = waiting_.front();
    waiting_.pop_front();
    terminal_.BeginProgress("running", fs::path(sent.input).filename().string());
    const Result<Report> job = remote_.Wait(sent.id);
    terminal_.EndProgress();
    if (!job) return tl::unexpected<Error>(job.error());
    const std::string folder = wish_.one_file ? fs::path(wish_.output).parent_path().string() : wish_.output;
    for (const Report& output : job->value("outputs", Report::array())) {
      if (!names_.insert(output.value("name", "")).second) {
        return Note(sent.input, {ErrorCode::kInvalidArgument,
                                 "its files would be those of an input before it; give them another --output"});
      }
    }
    // What failed has no result, but says why.
    if (job->value("state", "") != "succeeded") {
      const Result<std::vector<std::string>> none = remote_.Fetch(*job, folder, wish_.places);
      return Note(sent.input, none ? Error{ErrorCode::kInternal, "the job has no result"} : none.error());
    }
    TIMBRE_TRY(const Report result, remote_.Ask("GET", "/v1/jobs/" + sent.id + "/result"));
    // A file that nobody named stays there, and what is in it is answered here.
    Report wanted = *job;
    if (wish_.answers) {
      Report& outputs = wanted["outputs"];
      for (auto output = outputs.begin(); output != outputs.end();) {
        output = wish_.places.contains(output->value("name", "")) ? output + 1 : outputs.erase(output);
      }
    }
    const Result<std::vector<std::string>> files = remote_.Fetch(wanted, folder, wish_.places);
    if (!files) return Note(sent.input, files.error());
    Retell(result.value("said", Report::array()), files->empty());
    if (wish_.answers) Answer(result["report"]);
    jobs_.push_back({{"id", sent.id}, {"input", sent.input}, {"files", *files}, {"report", result["report"]}});
    for (const std::string& file : *files) terminal_.Detail("  " + file);
    const std::string made = fmt::format("{}: {} files from job {}", sent.input, files->size(), sent.id);
    if (files->empty()) {
      terminal_.Detail(made);
    } else {
      terminal_.Say(made);
    }
    return {};
  }

  // What the command would have said here. Where files were made, messages say where they lie over there.
  void Retell(const Report& said, bool messages) {
    size_t head_lines = 0, answers = 0;
    for (const auto& [kind, lines] : kTables) head_lines = kind == kind_ ? lines : head_lines;
    for (const Report& event : said) {
      const std::string kind = event.value("kind", ""), text = event.value("text", "");
      for (const EventKind known : {kAnswerEvent, kPieceEvent, kMessageEvent, kWarningEvent, kStepDownEvent}) {
        if (kind != known || (known == kMessageEvent && !messages)) continue;
        const bool head = known == kAnswerEvent && answers++ < head_lines;
        if (!head || !head_told_) terminal_.OnEvent({known, text});
      }
    }
    head_told_ = head_told_ || answers > 0;
  }

  void Answer(const Report& report) const {
    for (const auto& [kind, place] : kAnswers) {
      const Report::json_pointer pointer(place);
      if (kind != kind_ || !report.contains(pointer) || !report[pointer].is_string()) continue;
      std::string text = report[pointer].get<std::string>();
      if (text.ends_with('\n')) text.pop_back();  // the line's end is added by the terminal
      terminal_.Print(text);
    }
  }

  Status Note(const std::string& input, Error error) {
    if (error.code == ErrorCode::kCancelled) return tl::unexpected<Error>(std::move(error));
    ++failed_;
    jobs_.push_back({{"input", input}, {"error", error.message}});
    error.message = Printable(input, 200) + ": " + error.message;
    last_error_ = error;
    terminal_.Detail(error.message);
    return {};
  }

  const std::string kind_;
  const Wish& wish_;
  Remote& remote_;
  Terminal& terminal_;
  Report& jobs_;
  Report options_;
  std::deque<Sent> waiting_;
  std::set<std::string> names_;
  bool head_told_ = false;
  size_t failed_ = 0;
  Error last_error_;
};

}  // namespace

Status CheckRemote(const RemoteOptions& options, const ManyFiles& many) {
  if (!options.server.empty() && many.given()) {
    return Fail(ErrorCode::kInvalidArgument, "--list and --shard keep manifests here; they do not go with --server.");
  }
  if (options.server.empty() && !options.token_file.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "--token-file has no effect: it belongs to --server.");
  }
  return {};
}

Status RunJobThere(std::string_view kind, Job& job, const RemoteOptions& options, Terminal& terminal, Report& report) {
  if (job.Streams()) {
    return Fail(ErrorCode::kInvalidArgument, "--stdout and --server do not go together; a server makes files.");
  }
  TIMBRE_TRY(const Wish wish, WishOf(kind, job));
  TIMBRE_TRY(const JobKind* const row, FindJobKind(kind));
  if (wish.one_file && !wish.output.empty() && fs::path(wish.output).filename().empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "--output is a folder, and a server is asked for one file; name that, or run it without --server.");
  }
  std::vector<TrackInput> inputs(wish.inputs.begin(), wish.inputs.end());
  if (!wish.named) {
    TIMBRE_TRY(inputs, ExpandInputs(wish.inputs, wish.recursive, wish.output));
  }
  // Hits that were found before take the place of the sound.
  if (inputs.empty() && server::TakesFiles(*row) && !wish.files.contains("hits")) {
    return Fail(ErrorCode::kInvalidArgument, "name at least one file; a server is sent files.");
  }
  TIMBRE_TRY(Remote remote, Remote::Open(options, terminal));
  report["server"] = options.server;
  report["jobs"] = Report::array();
  Batch batch(kind, wish, remote, terminal, report["jobs"]);
  std::vector<std::string> all;
  all.reserve(inputs.size());
  for (const TrackInput& input : inputs) all.push_back(input.path);
  TIMBRE_CHECK(batch.SendOptions());
  if (wish.together || all.empty()) {
    TIMBRE_CHECK(batch.Add(all));
  } else {
    for (const std::string& input : all) TIMBRE_CHECK(batch.Add({input}));
  }
  TIMBRE_CHECK(batch.TakeAll());
  if (batch.failed() == 0) return {};
  if (all.size() <= 1 || wish.together) return tl::unexpected<Error>(batch.last_error());
  terminal.Warn(batch.last_error().message);
  return Fail(ErrorCode::kIo, fmt::format("{} of {} inputs could not be done; --verbose or --json say why.",
                                          batch.failed(), all.size()));
}

}  // namespace timbre::cli
