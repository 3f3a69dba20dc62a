// Which jobs a server takes from a client, and how they become the jobs that a worker runs: the same ones, with every
// path made here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "pipelines/job.h"

namespace timbre::server {

// The kinds that a client may ask for by name: those that read sound, MIDI or words. Models are fetched by a route of
// their own.
std::vector<const JobKind*> ServedKinds();

// Of a moment, so that it has a lane of its own.
bool IsQuick(std::string_view kind, const Json& options);

// Has inputs; others are told what to do by words.
bool TakesFiles(const JobKind& kind);

// Makes one thing of all its inputs; all others do the same to each, so that a job may as well have one.
bool TakesTogether(std::string_view kind);

// What becomes of an option that holds text, by whom it is chosen.
enum class OptionUse : uint8_t {
  kWithheld,  // names a place, or makes no sense where each job has a folder of its own: the server's to set
  kText,      // as the client says it
  kModel,     // a name of the catalogue
  kFile,      // a file to read: {"asset": ID}, or its content as {"text": "…"}
  kNewFile,   // a file to write: its name
  kUnknown,   // no rule says it
};
OptionUse UseOf(const JobKind& kind, const Field& field);

// What "options" of a kind may hold: the kind's own schema without what names a place on the disk.
Json OptionsSchemaOf(const JobKind& kind);

// Whether a worker would take it: the kind is served, so many inputs are right, each option may be set and makes sense
// together with the others. Models are those of the catalogue. Files among the options are {"asset": …}.
Status CheckJob(const std::string& kind, size_t inputs, const Json& options);

// The options of a job that name files, in the order in which those stand behind its inputs.
struct OptionFile {
  std::string option, ending;  // ".yaml", where its content comes as text
};
std::vector<OptionFile> OptionFiles(const std::string& kind, const Json& options);

// What the worker gets.
Json OrderOf(const engine::JobRecord& job, const engine::Slot& slot, const std::vector<std::string>& inputs,
             const std::string& folder);

}  // namespace timbre::server
