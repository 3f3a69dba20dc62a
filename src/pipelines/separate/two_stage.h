// Two models in a row: a stem of the first is what the second separates. A song's drums, and then their parts.
#pragma once

#include "pipelines/separate/separate.h"

namespace timbre {

// A separator whose outputs are those of `second`, of the stem `stem` of `first`; `second` was made of `options`. Of
// the first only the session, the batch, the shifts and their seed are taken from them. Between the two a track lies in
// a temporary file beside the outputs, or in `options.temp_dir` (float32, no clipping), so that memory does not grow
// with its length. Errors: a stem that the first model lacks, and those of Separator::Create.
Result<std::unique_ptr<Separator>> CreateTwoStage(LoadedModel first, const std::string& stem,
                                                  std::unique_ptr<Separator> second, const SeparateOptions& options,
                                                  ThreadPool& pool, Stats& stats);

}  // namespace timbre
