#include "models/loader.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/sha256.h"
#include "base/text.h"
#include "formats/checkpoint.h"
#include "formats/tarball.h"
#include "formats/tensor_bundle.h"
#include "formats/weight_values.h"
#include "models/architectures.h"
#include "models/named_model.h"
#include "models/released_networks.h"
#include "models/separate/hpss.h"
#include "models/separate/htdemucs.h"
#include "models/separate/larsnet.h"
#include "models/separate/mdxnet.h"
#include "models/separate/spleeter.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;
using Model = std::shared_ptr<const SeparationModel>;

constexpr uintmax_t kMaxYamlBytes = 1 << 20;

Result<Model> FromDemucs(const Checkpoint& checkpoint) {
  TIMBRE_TRY(const DemucsPackage package, ToDemucsPackage(checkpoint));
  TIMBRE_CHECK(CheckValues(*package.state));
  TIMBRE_TRY(HtdemucsOptions options, ReadHtdemucsOptions(package));
  return MakeHtdemucs(std::move(options), package.state);
}

// Weights by WriteRandomModel.
Result<Model> FromNetwork(const Checkpoint& checkpoint, const std::string& name) {
  TIMBRE_TRY(const NetworkRow* network, FindNetwork(name));
  if (network->make == nullptr) {
    return tl::unexpected<Error>(NotReadFor(ModelTask::kSeparate, ArchitectureOf(*checkpoint.tensors)));
  }
  TIMBRE_CHECK(CheckValues(*checkpoint.tensors));
  return network->make(checkpoint.tensors);
}

Result<std::string> ReadConfig(const std::string& config) {
  std::error_code error;
  if (!fs::is_regular_file(config, error)) {
    return Fail(ErrorCode::kNotFound, "there is no configuration '" + Printable(config) + "'");
  }
  if (fs::file_size(config, error) > kMaxYamlBytes || error) {
    return Fail(ErrorCode::kCorrupt, "the configuration '" + Printable(config) + "' is too large to be one");
  }
  std::ifstream file(config, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

// A checkpoint that is nothing but weights, and the YAML file that says what they are of.
Result<Model> FromConfig(const Checkpoint& checkpoint, const std::string& config) {
  auto weights = std::make_shared<const TensorMap>(checkpoint.State());
  const Architecture* architecture = ArchitectureOf(*weights);
  if (architecture == nullptr || architecture->separator == nullptr) {
    return tl::unexpected<Error>(NotReadFor(ModelTask::kSeparate, architecture));
  }
  if (config.empty()) {
    return Fail(ErrorCode::kUnsupported,
                "these weights are of " + std::string(architecture->title) +
                    ", but nothing says how it is built; name its YAML file with --config, or put it beside the "
                    "checkpoint under the same name");
  }
  TIMBRE_TRY(const std::string text, ReadConfig(config));
  TIMBRE_CHECK(CheckValues(*weights));
  auto model = architecture->separator(text, std::move(weights));
  if (!model) return Prefix(model.error(), config);
  return model;
}

// The file beside a checkpoint that has its name and a YAML file's extension, or nothing.
std::string ConfigBeside(fs::path path) {
  std::error_code error;
  for (const char* extension : {".yaml", ".yml"}) {
    if (fs::is_regular_file(path.replace_extension(extension), error)) return path.string();
  }
  return "";
}

// Every stem has a file of its name.
Status CheckStems(const SeparationModel& model) {
  std::vector<std::string> stems = model.info().stems;
  std::sort(stems.begin(), stems.end());
  const auto twice = std::adjacent_find(stems.begin(), stems.end());
  if (twice == stems.end()) return {};
  return Fail(ErrorCode::kCorrupt, "the model's configuration names the stem '" + Printable(*twice) +
                                       "' twice; give each of its stems a name of its own");
}

// Demucs names its packages SIGNATURE-CHECKSUM.th, the checksum being the first eight digits of the file's SHA-256.
Status CheckNamedDigest(const fs::path& path) {
  const std::string stem = path.stem().string();
  const size_t dash = stem.rfind('-');
  if (path.extension() != ".th" || dash == std::string::npos || stem.size() - dash - 1 != 8) return {};
  const std::string named = stem.substr(dash + 1);
  if (named.find_first_not_of("0123456789abcdef") != std::string::npos) return {};
  TIMBRE_TRY(const std::string digest, Sha256OfFile(path));
  if (digest.starts_with(named)) return {};
  return Fail(ErrorCode::kCorrupt, path.string() + ": the file's SHA-256 begins with " + digest.substr(0, 8) +
                                       " and not with " + named +
                                       " as its name says; it is damaged, get it again (or give it another name)");
}

// A checkpoint that says by itself what it is, or that a configuration belongs to.
Result<Model> LoadCheckpoint(const fs::path& path, std::string config) {
  TIMBRE_CHECK(CheckNamedDigest(path));
  TIMBRE_TRY(const Checkpoint checkpoint, ReadCheckpoint(path.string()));
  const auto network = checkpoint.metadata.find(std::string(kNetworkKey));
  const bool named = network != checkpoint.metadata.end();
  if (!config.empty() && (named || IsDemucsPackage(checkpoint))) {
    return Fail(ErrorCode::kInvalidArgument,
                path.string() + ": this checkpoint says by itself how its network is built; leave --config out");
  }
  if (config.empty()) config = ConfigBeside(path);
  Result<Model> model = named                         ? FromNetwork(checkpoint, network->second)
                        : IsDemucsPackage(checkpoint) ? FromDemucs(checkpoint)
                                                      : FromConfig(checkpoint, config);
  if (!model) return Prefix(model.error(), path.string());
  if (const Status distinct = CheckStems(**model); !distinct) return Prefix(distinct.error(), path.string());
  return model;
}

// The folder that LarsNet is published as: a checkpoint for each stem, in a folder of its own.
Result<Model> LoadLarsnet(const fs::path& folder, double wiener) {
  LarsnetOptions options;
  options.wiener = wiener;
  auto weights = std::make_shared<TensorMap>();
  std::error_code error;
  const fs::path inner = folder / "pretrained_larsnet_models";
  for (const std::string& stem : options.stems) {
    const fs::path base = fs::is_directory(inner, error) ? inner : folder;
    const fs::path file = base / stem / ("pretrained_" + stem + "_unet.pth");
    if (!fs::is_regular_file(file, error)) {
      return Fail(ErrorCode::kNotFound,
                  "there is no '" + file.string() +
                      "'; a folder is read as LarsNet's, with a checkpoint for each of its stems");
    }
    TIMBRE_TRY(const Checkpoint checkpoint, ReadCheckpoint(file.string()));
    const TensorMap state = checkpoint.State();
    if (const Status sane = CheckValues(state); !sane) return Prefix(sane.error(), file.string());
    const std::string scope = stem + ".";
    for (const auto& [name, tensor] : state) weights->emplace(scope + name, tensor);
  }
  return MakeLarsnet(std::move(options), std::move(weights));
}

// The checkpoint of a Demucs signature: SIGNATURE.th or SIGNATURE-CHECKSUM.th.
Result<fs::path> FindSignature(const fs::path& folder, const std::string& signature) {
  std::error_code error;
  const fs::directory_iterator end;
  for (fs::directory_iterator entry(folder.empty() ? "." : folder, error); !error && entry != end;
       entry.increment(error)) {
    const fs::path& file = entry->path();
    const std::string stem = file.stem().string();
    if (file.extension() == ".th" && stem.substr(0, stem.find('-')) == signature) return file;
  }
  return Fail(ErrorCode::kNotFound,
              "there is no '" + Printable(signature) + ".th' beside it, nor one with a checksum in its name");
}

// Members share what tasks rely on.
Status CheckMembers(const LoadedModel& model) {
  const SeparationInfo& first = model.info();
  if (model.weights.size() != model.members.size()) {
    return Fail(ErrorCode::kCorrupt, "the bag does not have weights for each of its models");
  }
  for (size_t m = 0; m < model.members.size(); ++m) {
    const SeparationInfo& info = model.members[m]->info();
    if (info.stems != first.stems || info.sample_rate != first.sample_rate || info.channels != first.channels) {
      return Fail(ErrorCode::kCorrupt, "the models of the bag differ in stems, sample rate or channels");
    }
    if (model.weights[m].size() != first.stems.size()) {
      return Fail(ErrorCode::kCorrupt, "the bag does not have a weight for each stem");
    }
  }
  for (size_t s = 0; s < first.stems.size(); ++s) {
    float sum = 0;
    for (const auto& weights : model.weights) sum += weights[s];
    if (!(std::abs(sum) > 1e-6f && std::abs(sum) < 1e6f)) {
      return Fail(ErrorCode::kCorrupt,
                  "the bag's weights of the stem '" + Printable(first.stems[s]) + "' sum to nothing");
    }
  }
  return {};
}

LoadedModel Single(Model model) {
  const size_t stems = model->info().stems.size();
  LoadedModel loaded;
  loaded.members.push_back(std::move(model));
  loaded.weights.emplace_back(stems, 1.0f);
  return loaded;
}

// Demucs' own bags: a list of signatures, weights, and perhaps a segment.
Result<LoadedModel> LoadBag(const fs::path& path) {
  LoadedModel bag;
  std::vector<std::string> signatures;
  std::error_code error;
  if (fs::file_size(path, error) > kMaxYamlBytes || error) {
    return Fail(ErrorCode::kCorrupt, "this is too large for the description of a bag of models");
  }
  try {
    const YAML::Node yaml = YAML::LoadFile(path.string());
    if (!yaml.IsMap() || !yaml["models"] || !yaml["models"].IsSequence() || yaml["models"].size() == 0) {
      return Fail(ErrorCode::kUnsupported,
                  "this is no bag of models; where it is a configuration, name its checkpoint with --model");
    }
    signatures = yaml["models"].as<std::vector<std::string>>();
    if (yaml["weights"]) bag.weights = yaml["weights"].as<std::vector<std::vector<float>>>();
    if (yaml["segment"]) bag.segment = yaml["segment"].as<double>();
  } catch (const YAML::Exception& e) {
    return Fail(ErrorCode::kCorrupt, "this is no bag of models: " + Printable(e.what()));
  }
  if (signatures.size() > 64) return Fail(ErrorCode::kUnsupported, "a bag of more than 64 models");
  for (const std::string& signature : signatures) {
    TIMBRE_TRY(const fs::path file, FindSignature(path.parent_path(), signature));
    TIMBRE_TRY(Model member, LoadCheckpoint(file, ""));
    bag.members.push_back(std::move(member));
  }
  if (bag.weights.empty()) {
    bag.weights.assign(bag.members.size(), std::vector<float>(bag.info().stems.size(), 1.0f));
  }
  if (bag.segment < 0 || !(bag.segment <= 3600)) return Fail(ErrorCode::kCorrupt, "the bag's segment makes no sense");
  TIMBRE_CHECK(CheckMembers(bag));
  return bag;
}

// TensorFlow's checkpoints, which are several files: named by their folder, by the one that is their index, or packed.
bool IsTensorFlow(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return !FindBundleIndex(path).empty();
  return path.extension() == ".index" || LooksLikeTarball(path.string());
}

Result<Model> LoadTensorFlow(const fs::path& path) {
  Result<Model> model = LoadSpleeter(path.string());
  if (!model) return Prefix(model.error(), path.string());
  if (const Status distinct = CheckStems(**model); !distinct) return Prefix(distinct.error(), path.string());
  return model;
}

Result<LoadedModel> LoadPath(const fs::path& path, const LoadOptions& options) {
  const std::string& config = options.config;
  const std::string extension = path.extension().string();
  std::error_code error;
  if (IsTensorFlow(path)) {
    if (!config.empty()) {
      return Fail(ErrorCode::kInvalidArgument,
                  path.string() + ": Spleeter's base_config.json lies beside its checkpoint; leave --config out");
    }
    TIMBRE_TRY(Model model, LoadTensorFlow(path));
    return Single(std::move(model));
  }
  if (fs::is_directory(path, error)) {
    auto model = LoadLarsnet(path, options.wiener);
    // An error of one of its files names that, and so the folder.
    if (!model && model.error().message.starts_with(path.string())) return tl::unexpected<Error>(model.error());
    if (!model) return Prefix(model.error(), path.string());
    return Single(*std::move(model));
  }
  if (extension == ".yaml" || extension == ".yml") {
    Result<LoadedModel> bag = LoadBag(path);
    if (!bag) return Prefix(bag.error(), path.string());
    return bag;
  }
  if (extension == ".onnx") {
    auto model = LoadMdxnet(path.string(), config, options.mdxnet);
    if (!model) return Prefix(model.error(), path.string());
    return Single(*std::move(model));
  }
  TIMBRE_TRY(Model model, LoadCheckpoint(path, config));
  return Single(std::move(model));
}

Result<LoadedModel> LoadEntry(const ModelEntry& entry, const std::vector<fs::path>& files, const LoadOptions& options) {
  if (entry.architecture == "hpss") return Single(MakeHpss());
  LoadedModel loaded;
  if (entry.architecture == "spleeter" || entry.architecture == "mdxnet") {  // known by what their first file is
    TIMBRE_TRY(loaded, LoadPath(files.front(), options));
    loaded.path = files.front().string();
    return loaded;
  }
  if (entry.architecture == "larsnet") {
    // The first file's stem lies in a folder of its own.
    TIMBRE_TRY(Model model, LoadLarsnet(files.front().parent_path().parent_path(), options.wiener));
    loaded = Single(std::move(model));
    loaded.path = files.front().parent_path().parent_path().string();
    return loaded;
  }
  std::string config;
  for (size_t i = 0; i < files.size(); ++i) {
    if (entry.files[i].role == ModelFileRole::kConfig) config = files[i].string();
  }
  for (size_t i = 0; i < files.size(); ++i) {
    if (entry.files[i].role != ModelFileRole::kWeights) continue;
    TIMBRE_TRY(Model member, LoadCheckpoint(files[i], config));
    loaded.members.push_back(std::move(member));
  }
  if (loaded.members.empty()) return Fail(ErrorCode::kInternal, "the catalogue has no weights for this model");
  loaded.path = files.front().string();
  loaded.weights = entry.bag_weights;
  if (loaded.weights.empty()) {
    loaded.weights.assign(loaded.members.size(), std::vector<float>(loaded.info().stems.size(), 1.0f));
  }
  TIMBRE_CHECK(CheckMembers(loaded));
  return loaded;
}

// What the model does not have must not be asked for in vain.
Result<LoadedModel> CheckOptions(LoadedModel model, const LoadOptions& options) {
  if (options.mdxnet.Any() && model.info().architecture != "mdxnet") {
    return Fail(ErrorCode::kInvalidArgument,
                "--n-fft, --compensate, --primary-stem and --mdx-denoise are of MDX-Nets alone; leave them out with '" +
                    model.name + "'");
  }
  if (options.wiener != 0 && model.info().architecture != "larsnet") {
    return Fail(ErrorCode::kInvalidArgument,
                "a Wiener filter across the stems is LarsNet's alone; leave --wiener out with '" + model.name + "'");
  }
  return model;
}

}  // namespace

Result<LoadedModel> LoadModel(const std::string& name, const LoadOptions& options) {
  TIMBRE_TRY(const NamedModel named, FindNamedModel(name, ModelTask::kSeparate));
  LoadedModel loaded;
  if (named.entry == nullptr) {
    TIMBRE_TRY(loaded, LoadPath(named.path, options));
    loaded.name = NameOfModelAt(named.path);
    loaded.path = name;
  } else {
    TIMBRE_TRY(loaded, LoadEntry(*named.entry, named.files, options));
    loaded.name = name;
  }
  return CheckOptions(std::move(loaded), options);
}

}  // namespace timbre
