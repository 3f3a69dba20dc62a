// Every operator against what others make of the same inputs: the oracle of the op table, and every kernel on the CPU
// at the operator's tolerance. How the files were made: make.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/cpu/simd.h"
#include "runtime/check/verify.h"
#include "tests/support/golden.h"
#include "tests/support/kernel_run.h"

namespace timbre {
namespace {

using nlohmann::json;

template <typename T>
void Read(const json& from, const char* name, T& to) {
  if (from.contains(name)) from.at(name).get_to(to);
}

template <typename Enum>
Enum Named(const json& from, std::span<const std::string_view> names) {
  const auto name = from.get<std::string>();
  int i = 0;
  for (const std::string_view known : names) {
    if (known == name) return static_cast<Enum>(i);
    ++i;
  }
  ADD_FAILURE() << "nothing is called " << name;
  return Enum{};
}

template <typename Enum>
Enum Named(const json& from, int count) {
  for (int i = 0; i < count; ++i) {
    if (NameOf(static_cast<Enum>(i)) == from.get<std::string>()) return static_cast<Enum>(i);
  }
  ADD_FAILURE() << "nothing is called " << from;
  return Enum{};
}

constexpr int kBinaryFns = static_cast<int>(BinaryFn::kAtan2) + 1;
constexpr std::array<std::string_view, 5> kReduceFns{"sum", "mean", "max", "min", "std"};
constexpr std::array<std::string_view, 3> kPadModes{"zero", "reflect", "replicate"};

Attrs AttrsOf(Op op, const json& j) {
  switch (op) {
    case Op::kConv: {
      ConvAttrs a;
      Read(j, "dims", a.dims), Read(j, "kernel", a.kernel), Read(j, "stride", a.stride);
      Read(j, "dilation", a.dilation), Read(j, "pad_lo", a.pad_lo), Read(j, "pad_hi", a.pad_hi);
      Read(j, "groups", a.groups);
      return a;
    }
    case Op::kConvTranspose: {
      ConvTransposeAttrs a;
      Read(j, "dims", a.dims), Read(j, "kernel", a.kernel), Read(j, "stride", a.stride);
      Read(j, "crop_lo", a.crop_lo), Read(j, "crop_hi", a.crop_hi), Read(j, "groups", a.groups);
      return a;
    }
    case Op::kLinear: {
      LinearAttrs a;
      Read(j, "axis", a.axis), Read(j, "groups", a.groups);
      return a;
    }
    case Op::kMatMul: {
      MatMulAttrs a;
      Read(j, "transpose_b", a.transpose_b), Read(j, "scale", a.scale);
      return a;
    }
    case Op::kRotary: {
      RotaryAttrs a;
      Read(j, "heads", a.heads), Read(j, "dims", a.dims), Read(j, "interleaved", a.interleaved);
      Read(j, "first", a.first), Read(j, "at", a.at);
      return a;
    }
    case Op::kAttention: {
      AttentionAttrs a;
      Read(j, "heads", a.heads), Read(j, "scale", a.scale), Read(j, "causal", a.causal);
      Read(j, "kv_heads", a.kv_heads), Read(j, "block", a.block), Read(j, "length", a.length), Read(j, "past", a.past);
      Read(j, "valid", a.valid), Read(j, "older", a.older);
      return a;
    }
    case Op::kNorm: {
      NormAttrs a;
      Read(j, "groups", a.groups), Read(j, "keep", a.keep), Read(j, "eps", a.eps);
      Read(j, "subtract_mean", a.subtract_mean);
      return a;
    }
    case Op::kBatchNorm: {
      BatchNormAttrs a;
      Read(j, "eps", a.eps);
      return a;
    }
    case Op::kUnary: {
      UnaryAttrs a{Named<UnaryFn>(j.at("fn"), static_cast<int>(UnaryFn::kCount))};
      Read(j, "alpha", a.alpha), Read(j, "beta", a.beta);
      return a;
    }
    case Op::kBinary: return BinaryAttrs{Named<BinaryFn>(j.at("fn"), kBinaryFns)};
    case Op::kReduce: {
      ReduceAttrs a{Named<ReduceFn>(j.at("fn"), kReduceFns)};
      Read(j, "axes", a.axes), Read(j, "ddof", a.ddof);
      return a;
    }
    case Op::kReshape: return ReshapeAttrs{Shape(j.at("shape").get<std::vector<int64_t>>())};
    case Op::kTranspose: {
      TransposeAttrs a;
      for (size_t i = 0; i < j.at("perm").size(); ++i) a.perm[i] = j.at("perm")[i].get<int8_t>();
      return a;
    }
    case Op::kSlice: {
      SliceAttrs a;
      Read(j, "axis", a.axis), Read(j, "begin", a.begin), Read(j, "end", a.end), Read(j, "step", a.step);
      return a;
    }
    case Op::kConcat: return ConcatAttrs{j.at("axis")};
    case Op::kPad: {
      PadAttrs a;
      Read(j, "axis", a.axis), Read(j, "lo", a.lo), Read(j, "hi", a.hi);
      a.mode = Named<PadMode>(j.at("mode"), kPadModes);
      return a;
    }
    case Op::kUpsample: return UpsampleAttrs{j.at("axis"), j.at("factor")};
    case Op::kStft: {
      StftAttrs a;
      Read(j, "n_fft", a.n_fft), Read(j, "hop", a.hop), Read(j, "scale", a.scale);
      return a;
    }
    case Op::kIstft: {
      IstftAttrs a;
      Read(j, "n_fft", a.n_fft), Read(j, "hop", a.hop), Read(j, "crop", a.crop), Read(j, "length", a.length);
      Read(j, "scale", a.scale), Read(j, "normalize", a.normalize);
      return a;
    }
    case Op::kGru:
    case Op::kLstm: return RnnAttrs{j.at("reverse")};
    case Op::kCumulativeMean: return CumulativeMeanAttrs{j.at("alpha")};
    case Op::kStateWrite: {
      StateWriteAttrs a;
      Read(j, "axis", a.axis), Read(j, "at", a.at);
      return a;
    }
    case Op::kEmbedding:
    case Op::kPRelu:
    case Op::kGlu:
    case Op::kSoftmax:
    case Op::kAliasFreeSnake:
    case Op::kCount: break;
  }
  return NoAttrs{};
}

// A case of a file as a graph of one node, and what its outputs are.
struct Witness {
  SingleOpGraph one;
  std::vector<Tensor64> outputs;
};

Witness Load(Op op, const std::string& name, const json& about, const TensorMap& tensors) {
  Witness witness;
  Graph& graph = witness.one.graph;
  std::vector<TensorId> in;
  for (int i = 0; i < about.at("inputs").get<int>(); ++i) {
    const std::string key = std::to_string(i);
    const auto found = tensors.find(name + ".in" + key);
    if (found == tensors.end()) {
      in.push_back(kNoTensor);
      continue;
    }
    HostTensor tensor = found->second;
    if (about.contains("blocks") && about.at("blocks").contains(key)) {
      const json& blocks = about.at("blocks").at(key);
      for (int d = 0; d < static_cast<int>(DType::kCount); ++d) {
        if (NameOf(static_cast<DType>(d)) == blocks.at("dtype").get<std::string>())
          tensor.dtype = static_cast<DType>(d);
      }
      tensor.shape = Shape(blocks.at("shape").get<std::vector<int64_t>>());
      EXPECT_EQ(static_cast<int64_t>(tensor.bytes()), found->second.shape.elements()) << name;
    }
    std::vector<float> values(static_cast<size_t>(tensor.shape.elements()));
    ReadForKernels(tensor, values.data());
    const auto& constants = about.at("constants");
    if (op == Op::kStateWrite && i == 0) {
      in.push_back(graph.AddTensor(key, tensor.shape, TensorKind::kState));
    } else if (std::find(constants.begin(), constants.end(), i) != constants.end()) {
      in.push_back(graph.AddConstant(key, tensor));
    } else {
      in.push_back(graph.AddTensor(key, tensor.shape, TensorKind::kInput, tensor.dtype));
      graph.inputs.push_back({key, in.back()});
    }
    witness.one.inputs.resize(graph.tensors.size());
    witness.one.inputs[in.back()] = std::move(values);
  }
  for (const json& value : about.value("scalars", json::array())) {
    graph.AddScalar(std::to_string(graph.scalars.size()), value.get<int32_t>());
  }
  const Attrs attrs = AttrsOf(op, about.at("attrs"));
  AppendNode(witness.one, op, attrs, in, name);
  for (size_t i = 0; i < graph.nodes[0].outputs.size(); ++i) {
    const std::string key = name + ".out" + std::to_string(i);
    const std::vector<float> values = testing::Values({std::make_shared<TensorMap>(tensors), {}}, key);
    witness.outputs.push_back({graph.shape(graph.nodes[0].outputs[i]), {values.begin(), values.end()}});
    EXPECT_EQ(static_cast<int64_t>(values.size()), witness.outputs.back().shape.elements()) << key;
    graph.outputs.push_back({key, graph.nodes[0].outputs[i]});
  }
  EXPECT_TRUE(Validate(graph)) << name;
  return witness;
}

// The largest error, relative to the larger of a value and the root mean square.
double LargestError(const std::vector<double>& expected, const std::vector<double>& value) {
  double power = 0, largest = 0;
  for (const double x : expected) power += x * x;
  const double rms = std::sqrt(power / static_cast<double>(expected.size()));
  for (size_t i = 0; i < expected.size(); ++i) {
    const double error = std::abs(expected[i] - value[i]) / std::max({std::abs(expected[i]), rms, 1e-30});
    largest = error <= largest ? largest : error;  // not a number is the largest of all
  }
  return largest;
}

class Witnesses : public ::testing::TestWithParam<int> {};

TEST_P(Witnesses, AgreeWithTheOracleAndEveryKernel) {
  const auto op = static_cast<Op>(GetParam());
  const std::string path = testing::SourceDir() + "/tests/ops/" + std::string(NameOf(op)) + ".safetensors";
  ASSERT_TRUE(std::filesystem::exists(path)) << NameOf(op) << " has no witness: add cases to tests/ops/make.py";
  const auto file = ReadSafetensors(path);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE(file->metadata.contains("made by"));
  std::set<std::string> taken;
  int cases = 0;
  ThreadPool pool(2);
  for (const auto& [name, text] : file->metadata) {
    if (name == "made by") continue;
    const Witness witness = Load(op, name, json::parse(text), *file->tensors);
    const Graph& graph = witness.one.graph;
    std::vector<const float*> in;
    for (const TensorId id : graph.nodes[0].inputs) {
      in.push_back(id == kNoTensor ? nullptr : witness.one.inputs[id].data());
    }
    const std::vector<Tensor64> oracle = OracleOf(graph, graph.nodes[0], in);
    for (size_t o = 0; o < oracle.size(); ++o) {
      // Float64 against float64, rounded once to be stored.
      EXPECT_LE(LargestError(witness.outputs[o].data, oracle[o].data), 1.0e-7)
          << NameOf(op) << ' ' << name << ", output " << o;
    }
    for (const std::string& target : SimdTargets()) {
      ASSERT_TRUE(SetSimdTarget(target));
      for (const KernelRow* row : KernelsFor(op, DeviceKind::kCpu)) {
        const std::string label = std::string(row->name) + "/" + target + "/" + name;
        const auto run = testing::RunKernel(*row, witness.one, pool, label);
        if (!run) continue;
        const Deviation deviation =
            Compare(run->graph, run->graph.nodes[0], run->results(), witness.outputs, row->precision, run->in);
        EXPECT_LE(deviation.worst, 1.0) << label << ": " << deviation.where;
        taken.insert(std::string(row->name));
      }
    }
    ASSERT_TRUE(SetSimdTarget(""));
    ++cases;
  }
  EXPECT_GT(cases, 0);
  EXPECT_TRUE(taken.contains("cpu.reference"));
}

INSTANTIATE_TEST_SUITE_P(Ops, Witnesses, ::testing::Range(0, static_cast<int>(Op::kCount)),
                         [](const auto& op) { return std::string(NameOf(static_cast<Op>(op.param))); });

// What an operator chooses between has a witness for every choice.
TEST(Witnesses, EveryChoiceHasOne) {
  const auto names_of = [](Op op, const char* attribute) {
    std::set<std::string> seen;
    const auto file = ReadSafetensors(testing::SourceDir() + "/tests/ops/" + std::string(NameOf(op)) + ".safetensors");
    if (!file) return seen;
    for (const auto& [name, text] : file->metadata) {
      if (name == "made by") continue;
      const json about = json::parse(text), value = about.at("attrs").value(attribute, json());
      if (!value.is_null()) seen.insert(value.is_string() ? value.get<std::string>() : value.dump());
      if (about.contains("blocks")) {
        for (const json& blocks : about.at("blocks")) seen.insert(blocks.at("dtype").get<std::string>());
      }
    }
    return seen;
  };
  for (int fn = 0; fn < static_cast<int>(UnaryFn::kCount); ++fn) {
    EXPECT_TRUE(names_of(Op::kUnary, "fn").contains(std::string(NameOf(static_cast<UnaryFn>(fn))))) << fn;
  }
  for (int fn = 0; fn < kBinaryFns; ++fn) {
    EXPECT_TRUE(names_of(Op::kBinary, "fn").contains(std::string(NameOf(static_cast<BinaryFn>(fn))))) << fn;
  }
  for (const std::string_view fn : kReduceFns) EXPECT_TRUE(names_of(Op::kReduce, "fn").contains(std::string(fn))) << fn;
  for (const std::string_view mode : kPadModes) {
    EXPECT_TRUE(names_of(Op::kPad, "mode").contains(std::string(mode))) << mode;
  }
  for (const char* dims : {"1", "2", "3"}) {
    EXPECT_TRUE(names_of(Op::kConv, "dims").contains(dims)) << dims;
    EXPECT_TRUE(names_of(Op::kConvTranspose, "dims").contains(dims)) << dims;
  }
  for (int d = 0; d < static_cast<int>(DType::kCount); ++d) {
    const auto dtype = static_cast<DType>(d);
    if (!InBlocks(dtype)) continue;
    EXPECT_TRUE(names_of(Op::kLinear, "").contains(std::string(NameOf(dtype)))) << NameOf(dtype);
    EXPECT_TRUE(names_of(Op::kEmbedding, "").contains(std::string(NameOf(dtype)))) << NameOf(dtype);
  }
}

}  // namespace
}  // namespace timbre
