// A piece of work that runs the same whoever asks for it: the command line, a file, the C interface, a server, a
// worker.
//
//   {"kind": "separate", "inputs": ["song.mp3"], "options": {"two_stems": "vocals"}}
//
// A kind of job is a class derived from Job and a row of job_kinds.inc. Its options, and what reads, checks, describes
// and reports them, come from its field list.
#pragma once

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "base/event.h"
#include "base/fields.h"
#include "base/observer.h"
#include "base/result.h"

namespace timbre {

using Json = nlohmann::ordered_json;

class KeptModels;

// What whoever runs a job lends it. All outlives the job's run.
struct JobHost {
  // Set from any thread to end the job with kCancelled: asked between nodes. The observer is asked too, less often.
  const std::atomic<bool>* cancelled = nullptr;
  // A descriptor that takes the sound of a job that streams; -1: there is none, and to ask for it is an error.
  int stream = -1;
  // Whether "-" among the inputs may be read from the process's standard input.
  bool standard_input = false;
  // Whether nothing else computes in this process. A job that measures it may then do what all of it feels: `doctor`
  // goes through the processor's instruction sets, `bench` binds threads to processors. Others do without.
  bool alone = false;
  // Whether anybody reads the report: what is measured for it alone, and takes time, is else left out.
  bool reported = true;
  // What the jobs before have loaded, where the process runs one after the other (kept_models.h); null: nothing.
  KeptModels* models = nullptr;
};

// Runs once. Jobs share nothing but devices and packed weights: each has threads, faults, statistics and files of its
// own, so that any number may run at once.
class Job {
 public:
  virtual ~Job() = default;
  // Bound to the job's own members. The positional ones are its inputs, of which the last may be a list.
  virtual FieldList Fields() = 0;
  // Whether the options have it write sound into JobHost::stream, and no file.
  virtual bool Streams() const { return false; }
  // Whether what it answers (kAnswerEvent) is data for who reads it, from which other words are kept away.
  virtual bool AnswersData() const { return false; }
  // The options are set and each is valid in itself. Adds to `report` as far as it gets. Files are named together at
  // the end of each input's work (base/output_set.h); a failure leaves none, and old ones as they were.
  virtual Status Run(const JobHost& host, Observer& observer, Json& report) = 0;
};

struct JobKind {
  std::string_view name;     // "separate"
  std::string_view command;  // the program's command that runs it, which reports name
  std::string_view summary;
  std::unique_ptr<Job> (*make)();
  Json (*report_schema)();  // of what Run adds to the report: an ObjectSchema (job_schema.h)
};

std::span<const JobKind> JobKinds();
// Fails with kNotFound and the nearest name. The pointer stays valid.
Result<const JobKind*> FindJobKind(std::string_view name);

// Runs a job whose options are set. `report` is then the whole report: with the version, the command and, where the job
// failed, the error. Throws nothing.
Status RunJob(const JobKind& kind, Job& job, const JobHost& host, Observer& observer, Json& report);

}  // namespace timbre
