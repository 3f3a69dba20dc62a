#include "formats/checkpoint.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "base/mapped_file.h"
#include "base/text.h"
#include "formats/safetensors.h"
#include "formats/tensor_view.h"
#include "formats/zip.h"

namespace timbre {
namespace {

constexpr int kMaxDepth = 32;
constexpr size_t kMaxVisits = 4'000'000;
constexpr size_t kMaxTensors = 200'000;
constexpr size_t kMaxName = 1000;
constexpr size_t kMaxTextFile = 64 << 10;

tl::unexpected<Error> Corrupt(const std::string& what) {
  return Fail(ErrorCode::kCorrupt, "the checkpoint is broken: " + what + "; get the file again.");
}

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// ---- from a pickle's tree to named tensors ----

// Gives the bytes of the storage `key`, which has to hold `size` bytes at least. They are aligned, so that no number of
// views copies them again.
using StorageSource = std::function<Result<SharedBytes>(const std::string& key, uint64_t size)>;

class Flattener {
 public:
  Flattener(const PickleTree& tree, const StorageSource& source, uint64_t file_size)
      // Weights saved as transposed views take their own size again. More than that is an expansion of few values into
      // many.
      : tree_(tree), source_(source), copy_budget_((uint64_t{64} << 20) + 4 * file_size), made_(tree.tensors.size()) {}

  Result<TensorMap> Run(const PickleValue& root) {
    TIMBRE_CHECK(Visit(root, "", 0));
    return std::move(tensors_);
  }

 private:
  Status Visit(const PickleValue& value, const std::string& name, int depth) {
    if (++visits_ > kMaxVisits) return Corrupt("it has too many values");
    if (value.Tensor() != nullptr) return AddTensor(value, name.empty() ? "tensor" : name);
    const bool list = value.kind() == PickleKind::kList || value.kind() == PickleKind::kTuple;
    if ((!value.is_dict() && !list) || value.size() == 0) return {};
    if (depth >= kMaxDepth) return Corrupt("it is nested too deeply");
    for (size_t i = 0; i < value.size(); ++i) {
      std::optional<std::string> key;
      if (list) {
        key = std::to_string(i);
      } else if (const auto text = value.Key(i).String()) {
        key = text;
      } else if (const auto number = value.Key(i).Int()) {
        key = std::to_string(*number);
      }
      if (!key) continue;  // no network names its weights by anything else
      if (name.size() + key->size() > kMaxName) return Corrupt("a tensor's name is too long");
      TIMBRE_CHECK(Visit(list ? value[i] : value.Value(i), name.empty() ? *key : name + "." + *key, depth + 1));
    }
    return {};
  }

  Status AddTensor(const PickleValue& value, const std::string& name) {
    const auto tensor = Make(*value.Tensor());
    if (!tensor) return Prefix(tensor.error(), "tensor '" + Printable(name) + "'");
    if (tensors_.size() >= kMaxTensors) return Corrupt("it has too many tensors");
    if (!tensors_.emplace(name, *tensor).second) return Corrupt("it names the tensor '" + Printable(name) + "' twice");
    return {};
  }

  Result<HostTensor> Make(const PickleTensor& tensor) {
    std::optional<HostTensor>& made = made_[static_cast<size_t>(&tensor - tree_.tensors.data())];
    if (made) return *made;
    const PickleStorage& storage = tree_.storages[tensor.storage];
    const uint64_t width = SizeOf(storage.dtype);
    const uint64_t begin = static_cast<uint64_t>(storage.root_offset + tensor.offset) * width;
    const uint64_t end = static_cast<uint64_t>(storage.root_offset + storage.elements) * width;
    TIMBRE_TRY(const SharedBytes bytes, source_(storage.key, end));
    if (!IsRowMajor(tensor.shape, tensor.strides)) {
      const uint64_t copied = static_cast<uint64_t>(tensor.shape.elements()) * width;
      if (copied > copy_budget_) {
        return Fail(ErrorCode::kUnsupported, "its shape " + tensor.shape.ToString() +
                                                 " repeats few stored values too often; save it contiguous.");
      }
      copy_budget_ -= copied;
    }
    const uint64_t offset = std::min(begin, end);  // of an empty tensor, whose offset nothing bounds
    TIMBRE_TRY(made, GatherTensor(bytes.Slice(offset, end - offset), storage.dtype, tensor.shape, tensor.strides));
    return *made;
  }

  const PickleTree& tree_;
  const StorageSource& source_;
  uint64_t copy_budget_;
  size_t visits_ = 0;
  std::vector<std::optional<HostTensor>> made_;  // a tensor under several names is made once
  TensorMap tensors_;
};

Result<Checkpoint> Flatten(PickleValue root, const StorageSource& source, uint64_t file_size) {
  Checkpoint checkpoint;
  if (root.tree()) {
    TIMBRE_TRY(TensorMap tensors, Flattener(*root.tree(), source, file_size).Run(root));
    checkpoint.tensors = std::make_shared<const TensorMap>(std::move(tensors));
  }
  checkpoint.root = std::move(root);
  return checkpoint;
}

// ---- the zip form: NAME/data.pkl, NAME/data/KEY, NAME/byteorder ----

Result<Checkpoint> ReadTorchZip(ZipArchive& archive, const std::string& folder, uint64_t file_size) {
  if (const ZipEntry* order = archive.Find(folder + "byteorder")) {
    TIMBRE_TRY(const SharedBytes text, archive.Read(*order));
    if (text.text().substr(0, 6) != "little") {
      return Fail(ErrorCode::kUnsupported,
                  "the checkpoint was written on a big-endian machine; save it again on a little-endian one.");
    }
  }
  if (archive.Find(folder + "constants.pkl") != nullptr) {
    return Fail(ErrorCode::kUnsupported,
                "the file is a TorchScript program, not a checkpoint; save the network's state_dict instead.");
  }
  TIMBRE_TRY(const SharedBytes pickle, archive.Read(*archive.Find(folder + "data.pkl")));
  TIMBRE_TRY(PickleValue root, ReadPickle(pickle.span()));
  std::map<std::string, SharedBytes> storages;
  const StorageSource source = [&](const std::string& key, uint64_t size) -> Result<SharedBytes> {
    auto found = storages.find(key);
    if (found == storages.end()) {
      const ZipEntry* entry = archive.Find(folder + "data/" + key);
      if (entry == nullptr) return Corrupt("the archive lacks the storage '" + Printable(key) + "'");
      TIMBRE_TRY(const SharedBytes stored, archive.Read(*entry));
      TIMBRE_TRY(SharedBytes bytes, AlignBytes(stored));
      found = storages.emplace(key, std::move(bytes)).first;
    }
    if (found->second.size() < size)
      return Corrupt("the storage '" + Printable(key) + "' is shorter than it should be");
    return found->second;
  };
  return Flatten(std::move(root), source, file_size);
}

// ---- the form before version 1.6: five pickles, then for each storage its count and its elements ----

// The pickle of the number 0x1950a86a20f9469cfc6c, protocol 2.
constexpr std::string_view kLegacyMagic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);

Result<Checkpoint> ReadTorchLegacy(const SharedBytes& bytes) {
  size_t at = kLegacyMagic.size();
  const auto next = [&]() -> Result<PickleValue> {
    size_t consumed = 0;
    auto value = ReadPickle(bytes.span().subspan(at), &consumed);
    at += consumed;
    return value;
  };
  TIMBRE_TRY(const PickleValue protocol, next());
  if (protocol.Int() != 1001)
    return Fail(ErrorCode::kUnsupported, "the checkpoint has an unknown version of PyTorch's old form; save it again.");
  TIMBRE_TRY(const PickleValue system, next());
  if (const auto little = system.Find("little_endian"); little && little->Bool() == false) {
    return Fail(ErrorCode::kUnsupported,
                "the checkpoint was written on a big-endian machine; save it again on a little-endian one.");
  }
  TIMBRE_TRY(PickleValue root, next());
  TIMBRE_TRY(const PickleValue key_list, next());
  const auto keys = key_list.Strings();
  if (!keys || !root.tree()) return Corrupt("its list of storages is missing");

  std::map<std::string, uint64_t> widths;
  for (const PickleStorage& storage : root.tree()->storages) {
    const uint64_t width = SizeOf(storage.dtype);
    if (widths.emplace(storage.key, width).first->second != width) return Corrupt("a storage has two types");
  }
  std::map<std::string, SharedBytes> storages;
  for (const std::string& key : *keys) {
    const auto width = widths.find(key);
    if (width == widths.end()) return Corrupt("a storage belongs to no tensor");
    if (bytes.size() - at < 8) return Corrupt("it ends before its storages do");
    uint64_t count = 0;
    for (int i = 8; i-- > 0;) count = count << 8 | std::to_integer<uint64_t>(bytes.data()[at + i]);
    at += 8;
    if (count > (bytes.size() - at) / width->second) return Corrupt("it ends before its storages do");
    TIMBRE_TRY(storages[key], AlignBytes(bytes.Slice(at, count * width->second)));
    at += count * width->second;
  }
  const StorageSource source = [&](const std::string& key, uint64_t size) -> Result<SharedBytes> {
    const auto found = storages.find(key);
    if (found == storages.end()) return Corrupt("it lacks the storage '" + Printable(key) + "'");
    if (found->second.size() < size)
      return Corrupt("the storage '" + Printable(key) + "' is shorter than it should be");
    return found->second;
  };
  return Flatten(std::move(root), source, bytes.size());
}

// ---- what kind of file it is ----

// Where the tree of a PyTorch archive begins: "archive/", or "" where data.pkl is at the top. Empty where there is
// none.
std::optional<std::string> TorchFolder(const ZipArchive& archive) {
  for (const ZipEntry& entry : archive.entries()) {
    const std::string& name = entry.name;
    if (name == "data.pkl") return "";
    if (EndsWith(name, "/data.pkl") && std::count(name.begin(), name.end(), '/') == 1)
      return name.substr(0, name.size() - 8);
  }
  return {};
}

bool IsCheckpointName(std::string_view name) {
  for (const std::string_view end : {".best", ".ckpt", ".th", ".pt", ".pth", ".safetensors"}) {
    if (EndsWith(name, end)) return true;
  }
  return false;
}

Result<Checkpoint> ReadSingle(const SharedBytes& bytes);

// An archive around one checkpoint. Of several, the one that training called the best.
Result<Checkpoint> ReadPackage(ZipArchive& archive) {
  std::vector<const ZipEntry*> candidates;
  for (const ZipEntry& entry : archive.entries()) {
    if (IsCheckpointName(entry.name) && !entry.name.starts_with("__MACOSX/")) candidates.push_back(&entry);
  }
  const auto is_best = [](const ZipEntry* entry) { return EndsWith(entry->name, ".best"); };
  if (candidates.size() > 1 && std::count_if(candidates.begin(), candidates.end(), is_best) == 1) {
    candidates = {*std::find_if(candidates.begin(), candidates.end(), is_best)};
  }
  if (candidates.empty()) return Fail(ErrorCode::kUnsupported, "the zip archive holds no checkpoint.");
  if (candidates.size() > 1) {
    return Fail(ErrorCode::kUnsupported, "the zip archive holds several checkpoints ('" +
                                             Printable(candidates[0]->name) + "', '" + Printable(candidates[1]->name) +
                                             "' …); unpack it and name one.");
  }
  TIMBRE_TRY(const SharedBytes inner, archive.Read(*candidates[0]));
  auto checkpoint = ReadSingle(inner);
  if (!checkpoint) return Prefix(std::move(checkpoint).error(), Printable(candidates[0]->name));
  for (const ZipEntry& entry : archive.entries()) {
    const bool text = EndsWith(entry.name, ".ini") || EndsWith(entry.name, ".json") || EndsWith(entry.name, ".yaml") ||
                      EndsWith(entry.name, ".yml") || EndsWith(entry.name, ".txt");
    if (!text || entry.size > kMaxTextFile || entry.name.starts_with("__MACOSX/")) continue;
    TIMBRE_TRY(const SharedBytes content, archive.Read(entry));
    checkpoint->files.emplace(entry.name.substr(entry.name.rfind('/') + 1), content.text());
  }
  return checkpoint;
}

Result<Checkpoint> ReadSingle(const SharedBytes& bytes) {
  const std::string_view text = bytes.text();
  if (ZipArchive::Looks(bytes)) {
    TIMBRE_TRY(ZipArchive archive, ZipArchive::Open(bytes));
    const auto folder = TorchFolder(archive);
    if (!folder) return Fail(ErrorCode::kUnsupported, "the zip archive is no PyTorch checkpoint.");
    return ReadTorchZip(archive, *folder, bytes.size());
  }
  if (text.starts_with(kLegacyMagic)) return ReadTorchLegacy(bytes);
  if (LooksLikeSafetensors(bytes)) {
    TIMBRE_TRY(Safetensors file, ReadSafetensors(bytes));
    Checkpoint checkpoint;
    checkpoint.tensors = std::move(file.tensors);
    checkpoint.metadata = std::move(file.metadata);
    return checkpoint;
  }
  if (bytes.size() == 0) return Fail(ErrorCode::kCorrupt, "the file is empty.");
  const std::string_view start = text.substr(0, 64);
  const bool printable = std::all_of(start.begin(), start.end(), [](char c) {
    return (static_cast<uint8_t>(c) >= ' ' && c != 0x7F) || c == '\n' || c == '\r' || c == '\t';
  });
  if (start.starts_with("version https://git-lfs")) {
    return Fail(ErrorCode::kCorrupt,
                "the file is only a pointer of Git LFS; fetch the file it stands for with 'git lfs pull'.");
  }
  return Fail(ErrorCode::kUnsupported, std::string("the file is no checkpoint") + (printable ? " but text" : "") +
                                           "; a PyTorch file (.th, .pt, .ckpt …) or .safetensors is wanted.");
}

}  // namespace

Result<Checkpoint> ReadCheckpoint(const SharedBytes& bytes) {
  if (ZipArchive::Looks(bytes)) {
    TIMBRE_TRY(ZipArchive archive, ZipArchive::Open(bytes));
    if (!TorchFolder(archive)) return ReadPackage(archive);
  }
  return ReadSingle(bytes);
}

Result<Checkpoint> ReadCheckpoint(const std::string& path) {
  TIMBRE_TRY(const SharedBytes bytes, MapFile(path));
  auto checkpoint = ReadCheckpoint(bytes);
  if (!checkpoint) return Prefix(std::move(checkpoint).error(), path);
  SettleMapped(bytes);
  return checkpoint;
}

TensorMap Checkpoint::Sub(const std::string& prefix) const {
  TensorMap below;
  for (auto it = tensors->lower_bound(prefix); it != tensors->end() && it->first.starts_with(prefix); ++it) {
    below.emplace_hint(below.end(), it->first.substr(prefix.size()), it->second);
  }
  return below;
}

TensorMap Checkpoint::State() const {
  // Dicts that have an optimizer's state beside them; the modules that PyTorch, its compiler and Lightning put around a
  // network; and averages of its weights over the time of training.
  constexpr std::string_view kWrappers[] = {"state_dict", "model_state_dict", "model",     "state", "module",
                                            "_orig_mod",  "ema_state_dict",   "ema_model", "ema"};
  const auto holds = [&](const std::string& prefix) {
    const auto it = tensors->lower_bound(prefix);
    return it != tensors->end() && it->first.starts_with(prefix);
  };
  std::string prefix;
  for (bool deeper = true; deeper;) {
    deeper = false;
    for (const std::string_view wrapper : kWrappers) {
      std::string inner = prefix + std::string(wrapper) + ".";
      if (!holds(inner)) continue;
      prefix = std::move(inner);
      deeper = true;
      break;
    }
  }
  return Sub(prefix);
}

bool IsDemucsPackage(const Checkpoint& checkpoint) {
  return checkpoint.root.Find("klass") && checkpoint.root.Find("kwargs") && checkpoint.root.Find("state");
}

Result<DemucsPackage> ToDemucsPackage(const Checkpoint& checkpoint) {
  if (!IsDemucsPackage(checkpoint)) {
    return Fail(ErrorCode::kUnsupported, "the checkpoint is no Demucs package: it lacks 'klass', 'kwargs' or 'state'.");
  }
  DemucsPackage package;
  package.klass = checkpoint.root.Find("klass")->class_name();
  package.args = checkpoint.root.Find("args").value_or(PickleValue());
  package.kwargs = *checkpoint.root.Find("kwargs");
  const PickleValue state = *checkpoint.root.Find("state");
  if (package.klass.empty() || !package.kwargs.is_dict() || !state.is_dict()) {
    return Corrupt("its 'klass', 'kwargs' or 'state' is of the wrong kind");
  }
  if (state.Find("__quantized")) {
    return Fail(
        ErrorCode::kUnsupported,
        "the network's weights are quantized by DiffQ, which is not read here; use the model that is not quantized.");
  }
  package.state = std::make_shared<const TensorMap>(checkpoint.Sub("state."));
  return package;
}

}  // namespace timbre
