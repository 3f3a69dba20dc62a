// What turns a language model's ids into text and back.
#pragma once

#include "base/result.h"
#include "formats/tokenizer.h"
#include "models/language/language_model.h"

namespace timbre {

// Of the file, or of the folder, that the model came from.
Result<Tokenizer> TokenizerOf(const LanguageModel& model);

}  // namespace timbre
