#include "store/model_report.h"

#include "models/model_scores.h"

namespace timbre {

std::string_view ModelStateName(ModelState state) {
  switch (state) {
    case ModelState::kBuiltIn: return "built in";
    case ModelState::kInstalled: return "installed";
    case ModelState::kIncomplete: return "incomplete";
    case ModelState::kMissing: return "not here";
  }
  return "";
}

nlohmann::ordered_json ModelReport(const ModelEntry& model, const std::filesystem::path& cache) {
  using Json = nlohmann::ordered_json;
  const ModelStatus status = StatusOfModel(cache, model);
  const auto known = [](auto value) { return value == decltype(value){} ? Json() : Json(value); };
  Json files = Json::array();
  for (const ModelFile& file : model.files) {
    files.push_back({{"name", file.name},
                     {"path", ModelFilePath(cache, model, file).string()},
                     {"role", file.role == ModelFileRole::kWeights ? "weights" : "config"},
                     {"url", known(file.url)},
                     {"package", known(file.package.package)},
                     {"package_path", known(file.package.path)},
                     {"bytes", known(file.bytes)},
                     {"sha256", known(file.sha256)}});
  }
  Json scores = Json::array();
  for (const StemScore& score : ScoresOf(model.name)) {
    scores.push_back({{"stem", score.stem}, {"sdr", score.sdr}, {"set", ScoreSetName(score.set)}});
  }
  return {{"name", model.name},
          {"summary", model.summary},
          {"task", ModelTaskName(model.task)},
          {"architecture", model.architecture},
          {"stems", model.stems},
          {"licence", model.licence},
          {"page", known(model.page)},
          {"bytes", known(ModelBytes(model))},
          {"state", ModelStateName(status.state)},
          {"bytes_on_disk", status.bytes_on_disk},
          {"scores", scores},
          {"files", files}};
}

}  // namespace timbre
