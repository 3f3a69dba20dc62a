#include "models/speech/speech.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/mapped_file.h"
#include "formats/checkpoint.h"
#include "formats/tarball.h"
#include "formats/weight_values.h"
#include "models/architectures.h"
#include "models/named_model.h"
#include "models/released_networks.h"
#include "models/speech/deepfilternet_onnx.h"
#include "models/speech/gtcrn.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

// The epoch in "model_120.ckpt.best"; -1 for any other name.
int EpochOf(const std::string& file) {
  constexpr std::string_view kPrefix = "model_";
  if (!file.starts_with(kPrefix)) return -1;
  int epoch = -1;
  const char* begin = file.data() + kPrefix.size();
  const auto [end, error] = std::from_chars(begin, file.data() + file.size(), epoch);
  const std::string_view rest(end, static_cast<size_t>(file.data() + file.size() - end));
  return error == std::errc() && (rest == ".ckpt" || rest == ".ckpt.best") ? epoch : -1;
}

// The checkpoint that the reference would take: the best one of the latest epoch, else the latest.
Result<std::string> NewestCheckpoint(const std::string& folder) {
  std::string newest;
  std::pair<bool, int> rank{false, -1};
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string file = it->path().filename().string();
    const std::pair<bool, int> its{file.ends_with(".best"), EpochOf(file)};
    if (its.second < 0 || its <= rank) continue;
    rank = its;
    newest = it->path().string();
  }
  if (error) return Fail(ErrorCode::kIo, folder + ": the folder can't be read: " + error.message());
  if (newest.empty()) return Fail(ErrorCode::kNotFound, folder + " holds no checkpoint named like model_120.ckpt.best");
  return newest;
}

Result<SpeechModel> FromConfig(std::string_view ini, TensorMap weights) {
  SpeechModel model;
  TIMBRE_TRY(model.deepfilternet, ParseDeepFilterNetConfig(ini));
  model.architecture = SpeechArchitecture::kDeepFilterNet;
  model.weights = std::make_shared<const TensorMap>(std::move(weights));
  return model;
}

Result<SpeechModel> LoadFolder(const std::string& path) {
  TIMBRE_TRY(const SharedBytes ini, MapFile((fs::path(path) / "config.ini").string()));
  TIMBRE_TRY(const std::string file, NewestCheckpoint((fs::path(path) / "checkpoints").string()));
  TIMBRE_TRY(Checkpoint checkpoint, ReadCheckpoint(file));
  TensorMap weights = checkpoint.State();
  if (const Status sane = CheckValues(weights); !sane) return Prefix(sane.error(), file);
  return FromConfig(ini.text(), std::move(weights));
}

Result<SpeechModel> LoadFile(const std::string& path) {
  if (LooksLikeTarball(path)) {
    TIMBRE_TRY(DeepFilterNetPackage package, ReadDeepFilterNetPackage(path));
    SpeechModel model;
    model.architecture = SpeechArchitecture::kDeepFilterNet;
    model.deepfilternet = package.config;
    model.weights = std::make_shared<const TensorMap>(std::move(package.weights));
    return model;
  }
  TIMBRE_TRY(Checkpoint checkpoint, ReadCheckpoint(path));
  const auto ini = checkpoint.files.find("config.ini");
  TensorMap weights = checkpoint.State();
  TIMBRE_CHECK(CheckValues(weights));
  if (ini != checkpoint.files.end()) return FromConfig(ini->second, std::move(weights));
  SpeechModel model;
  model.weights = std::make_shared<const TensorMap>(std::move(weights));
  const auto network = checkpoint.metadata.find(std::string(kNetworkKey));
  if (network != checkpoint.metadata.end() && network->second == "deepfilternet3") {
    model.deepfilternet = ReleasedDeepFilterNet3();
    return model;
  }
  const Architecture* architecture = ArchitectureOf(*model.weights);
  if (architecture == nullptr || architecture->speech == nullptr) {
    return tl::unexpected<Error>(NotReadFor(ModelTask::kDenoise, architecture));
  }
  return architecture->speech(model.weights);
}

}  // namespace

std::string SpeechModel::architecture_name() const {
  return architecture == SpeechArchitecture::kGtcrn ? "gtcrn" : "deepfilternet";
}

int SpeechModel::sample_rate() const {
  return architecture == SpeechArchitecture::kGtcrn ? kGtcrnRate : deepfilternet.sample_rate;
}

Result<SpeechModel> OpenSpeechModel(const std::string& name) {
  TIMBRE_TRY(const NamedModel named, FindNamedModel(name, ModelTask::kDenoise));
  TIMBRE_TRY(SpeechModel model, LoadSpeechModel(named.path.string()));
  if (named.entry != nullptr) model.name = name;
  return model;
}

Result<SpeechModel> LoadSpeechModel(const std::string& path) {
  std::error_code error;
  auto model = fs::is_directory(path, error) ? LoadFolder(path) : LoadFile(path);
  if (!model) {
    if (model.error().message.starts_with(path)) return model;
    return Prefix(model.error(), path);
  }
  model->name = NameOfModelAt(path);
  model->path = path;
  return model;
}

Result<Graph> BuildSpeechGraph(const SpeechModel& model, DeepFilterPart part, int frames, int batch) {
  const std::unique_ptr<Weights> weights = WeightsFromMap(model.weights);
  if (model.architecture == SpeechArchitecture::kGtcrn) return BuildGtcrn(*weights, batch, frames);
  // Weights of the parts that this graph leaves out are no mistake.
  const bool encoder = part != DeepFilterPart::kErbDecoder && part != DeepFilterPart::kDfDecoder;
  const bool erb = part != DeepFilterPart::kEncoder && part != DeepFilterPart::kDfDecoder;
  const bool df = part == DeepFilterPart::kAll || part == DeepFilterPart::kDfDecoder;
  for (const auto& [name, tensor] : *model.weights) {
    if ((name.starts_with("enc.") && !encoder) || (name.starts_with("erb_dec.") && !erb) ||
        (name.starts_with("df_dec.") && !df)) {
      weights->Ignore(name);
    }
  }
  return BuildDeepFilterNet(model.deepfilternet, *weights, part, batch, frames);
}

}  // namespace timbre
