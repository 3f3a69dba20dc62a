#include "tests/support/torch_writer.h"

#include <cstring>
#include <utility>

#include "tests/support/zip_builder.h"

namespace timbre::testing {
namespace {

std::string LittleEndian(uint64_t value, int bytes) {
  std::string out;
  for (; bytes > 0; --bytes, value >>= 8) out += static_cast<char>(value);
  return out;
}

std::string Tuple(std::span<const int64_t> values) {
  std::string out = "(";
  for (const int64_t value : values) out += PickleInt(static_cast<int>(value));
  return out + "t";
}

// Appends a storage for each tensor and gives the dict of them: names and calls of torch._utils._rebuild_tensor_v2.
std::string StateDict(const TensorMap& state, std::vector<std::string>& storages) {
  std::string pickle = "ccollections\nOrderedDict\n)R(";
  for (const auto& [name, tensor] : state) {
    const bool half = tensor.dtype == DType::kF16;
    std::string bytes(half ? tensor.bytes() : static_cast<size_t>(tensor.shape.elements()) * sizeof(float), '\0');
    if (half) {
      std::memcpy(bytes.data(), tensor.data.get(), bytes.size());
    } else {
      const std::vector<float> values = tensor.ToF32();
      std::memcpy(bytes.data(), values.data(), bytes.size());
    }
    std::vector<int64_t> strides;
    for (int i = 0; i < tensor.shape.rank(); ++i) strides.push_back(tensor.shape.stride(i));
    pickle += PickleText(name) + "ctorch._utils\n_rebuild_tensor_v2\n((" + PickleText("storage") +
              (half ? "ctorch\nHalfStorage\n" : "ctorch\nFloatStorage\n") +
              PickleText(std::to_string(storages.size())) + PickleText("cpu") +
              PickleInt(static_cast<int>(tensor.shape.elements())) + "tQ" + PickleInt(0) + Tuple(tensor.shape.dims()) +
              Tuple(strides) + "\x89" + "ccollections\nOrderedDict\n)RtR";
    storages.push_back(std::move(bytes));
  }
  return pickle + "u";
}

}  // namespace

std::string PickleText(const std::string& text) { return "X" + LittleEndian(text.size(), 4) + text; }
std::string PickleInt(int value) { return "J" + LittleEndian(static_cast<uint32_t>(value), 4); }
std::string PickleBool(bool value) { return value ? "\x88" : "\x89"; }
std::string PickleTexts(const std::vector<std::string>& texts) {
  std::string out = "](";
  for (const std::string& text : texts) out += PickleText(text);
  return out + "e";
}
std::string PickleFraction(const std::string& fraction) {
  return "cfractions\nFraction\n(" + PickleText(fraction) + "tR";
}

std::string TorchFile(const TensorMap& state, const std::vector<std::string>& path) {
  std::vector<std::string> storages;
  std::string pickle = StateDict(state, storages);
  for (size_t i = path.size(); i-- > 0;) {
    pickle = "}(" + PickleText("epoch") + PickleInt(7) + PickleText(path[i]) + pickle +
             PickleText("optimizer_state_dict") + "}(" + PickleText("param_groups") + "]" + PickleText("step") +
             PickleInt(1) + "uu";
  }
  return BuildTorchZip("\x80\x02" + pickle + ".", storages);
}

std::string DemucsFile(const std::vector<std::pair<std::string, std::string>>& kwargs, const TensorMap& state) {
  std::vector<std::string> storages;
  std::string options = "}(";
  for (const auto& [name, value] : kwargs) options += PickleText(name) + value;
  const std::string pickle = "}(" + PickleText("klass") + "cdemucs.htdemucs\nHTDemucs\n" + PickleText("args") + ")" +
                             PickleText("kwargs") + options + "u" + PickleText("state") + StateDict(state, storages) +
                             PickleText("training_args") + "}u";
  return BuildTorchZip("\x80\x02" + pickle + ".", storages);
}

}  // namespace timbre::testing
