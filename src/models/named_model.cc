#include "models/named_model.h"

#include "base/paths.h"
#include "base/text.h"
#include "models/catalogue.h"
#include "models/model_files.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

struct TaskWords {
  std::string_view lacks;  // of a model for something else
  std::string_view form;   // what one is on disk
};
TaskWords WordsOf(ModelTask task) {
  switch (task) {
    case ModelTask::kSeparate: return {"does not separate", "a checkpoint, or a folder of them"};
    case ModelTask::kDenoise:
      return {"does not clean speech", "DeepFilterNet3's archive or folder, or a checkpoint of GTCRN"};
    case ModelTask::kSong:
      return {"makes no songs", "a folder with model.safetensors, config.json, decoder.safetensors and decoder.json"};
    case ModelTask::kStyle: return {"makes no styles", "a folder with the three models of MuQ-MuLan"};
    case ModelTask::kText: return {"writes no text", "a folder of Hugging Face's layout or a .gguf file"};
    case ModelTask::kFrames: return {"makes no frames", "a folder with config.json and its weights, or the weights"};
  }
  return {};
}

// The model of the catalogue that has weights of this name, as other programs name models; null where none or several
// do.
const ModelEntry* EntryWithFile(std::string_view file_name) {
  const ModelEntry* found = nullptr;
  for (const ModelEntry& entry : ModelCatalogue()) {
    for (const ModelFile& file : entry.files) {
      if (file.role != ModelFileRole::kWeights || fs::path(file.name).filename() != file_name) continue;
      if (found != nullptr && found != &entry) return nullptr;
      found = &entry;
    }
  }
  return found;
}

}  // namespace

const ModelEntry* EntryOfName(const std::string& name) {
  std::error_code error;
  return fs::exists(name, error) ? nullptr : FindModel(name).value_or(nullptr);
}

std::string NameOfModelAt(const fs::path& path) {
  std::error_code error;
  const bool folder = fs::is_directory(path, error);
  // "." and what ends in a slash have no last part.
  fs::path whole = fs::absolute(path, error).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();
  fs::path name = whole.filename();
  if (!folder) name = name.stem();
  if (!folder && name.extension() == ".tar") name = name.stem();
  return name.empty() ? "model" : name.string();
}

Status CheckModelName(const std::string& name, ModelTask task) {
  std::error_code error;
  if (fs::exists(name, error)) return {};
  const auto entry = FindModel(name);
  const TaskWords words = WordsOf(task);
  if (!entry && (name.find('/') != std::string::npos || fs::path(name).has_extension())) {
    const std::string text = "there is no file or folder '" + Printable(name) + "'; ";
    if (const ModelEntry* const owner = EntryWithFile(fs::path(name).filename().string())) {
      return Fail(ErrorCode::kNotFound, text + "a file of this name belongs to the model " + std::string(owner->name) +
                                            ", which --model takes by its name");
    }
    return Fail(ErrorCode::kNotFound, text + "it would be " + std::string(words.form));
  }
  if (!entry) return tl::unexpected<Error>(entry.error());
  if ((*entry)->task == task) return {};
  const std::string instead = (*entry)->task == ModelTask::kStyle
                                  ? "; it makes styles, for timbre song --style-model"
                                  : "; use timbre " + std::string(ModelTaskName((*entry)->task));
  return Fail(ErrorCode::kInvalidArgument, "'" + name + "' " + std::string(words.lacks) + instead);
}

Result<NamedModel> FindNamedModel(const std::string& name, ModelTask task) {
  TIMBRE_CHECK(CheckModelName(name, task));
  NamedModel named;
  named.entry = EntryOfName(name);
  if (named.entry == nullptr) {
    named.path = name;
    return named;
  }
  if (named.entry->files.empty()) return named;
  TIMBRE_TRY(const std::string cache, CacheDir());
  TIMBRE_TRY(named.files, InstalledModelFiles(cache, *named.entry));
  named.path = named.files.size() == 1 ? named.files.front() : ModelFolder(cache, *named.entry);
  return named;
}

}  // namespace timbre
