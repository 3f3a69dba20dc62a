// Which jobs a server takes from a client, and how they become the jobs that a worker runs: the same ones, with every
// path made here.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "pipelines/job.h"

namespace timbre::server {

// Kinds that read files of sound and write what comes of them into a folder: all others are no matter of a server's.
std::vector<const JobKind*> ServedKinds();

// Of a moment, so that it has a lane of its own.
bool IsQuick(std::string_view kind);

// What "options" of a kind may hold: the kind's own schema without what names a place on the disk.
Json OptionsSchemaOf(const JobKind& kind);

// Whether a worker would take it: the kind is served, so many inputs are right, each option may be set and makes sense
// together with the others. Models are those of the catalogue.
Status CheckJob(const std::string& kind, size_t inputs, const Json& options);

// What the worker gets.
Json OrderOf(const engine::JobRecord& job, const engine::Slot& slot, const std::vector<std::string>& inputs,
             const std::string& folder);

}  // namespace timbre::server
