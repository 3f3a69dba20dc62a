#include "pipelines/text/text_model.h"

namespace timbre {

Result<Tokenizer> TokenizerOf(const LanguageModel& model) {
  if (!model.gguf) return Tokenizer::FromHuggingFace(model.path);
  auto made = Tokenizer::FromGguf(*model.gguf);
  if (!made) return Prefix(made.error(), model.path);
  return made;
}

}  // namespace timbre
