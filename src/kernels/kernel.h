// A kernel is one row: what it computes, where, how fast a tier it is, whether it can serve a node, and how it runs.
// Kernels hold no weights and no state, know no model, and print nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/aligned.h"
#include "base/thread_pool.h"
#include "graph/graph.h"

namespace timbre {

enum class DeviceKind : uint8_t { kCpu, kVulkan };
enum class Tier : uint8_t { kFast, kReference };
std::string_view NameOf(DeviceKind kind);
std::string_view NameOf(Tier tier);

// What products are made of: floats; halves; the sum of two bfloat16 for each factor, of which three products are made;
// bfloat16.
enum class Precision : uint8_t { kF32, kF16, kBf16x3, kBf16 };
std::string_view NameOf(Precision precision);  // as --precision calls it

// What a subgroup's threads multiply together: rows x depth by depth x columns, halves summed up in float32.
struct CooperativeMatrix {
  int64_t rows = 0, columns = 0, depth = 0;
  int64_t subgroup = 0;  // threads
  explicit operator bool() const { return rows > 0; }
};

// What a kernel may want to know before it says that it can serve a node.
struct DeviceCaps {
  DeviceKind kind = DeviceKind::kCpu;
  int threads = 1;
  std::string simd_target;  // CPU: Highway's name of the target in use
  int vector_bytes = 16;    // CPU: of that target
  Precision precision = Precision::kF32;
  bool float16 = false;                  // arithmetic with halves
  bool subgroups = false;                // Vulkan
  CooperativeMatrix cooperative_matrix;  // Vulkan; false where kernels can't have any
  uint64_t max_range = ~uint64_t{0};     // Vulkan: bytes that one binding may span
  uint64_t max_workgroup_memory = 0;
  int64_t max_workgroup_threads = 0;    // in a row
  uint64_t memory_free = ~uint64_t{0};  // that activations and scratch may take
  // Kernels also support what they compute rightly but, as far as is known, not faster than another: to be measured.
  bool any_size = false;
};

// A node together with the graph that its tensors live in.
struct NodeRef {
  const Graph& graph;
  const Node& node;

  const Shape& in(int i) const { return graph.shape(node.inputs[i]); }
  const Shape& out(int i = 0) const { return graph.shape(node.outputs[i]); }
  bool has(int i) const { return i < static_cast<int>(node.inputs.size()) && node.inputs[i] != kNoTensor; }
  bool constant(int i) const { return has(i) && graph.IsConstant(node.inputs[i]); }
  const HostTensor& value(int i) const { return graph.tensors[node.inputs[i]].constant; }  // of a constant input
  template <typename T>
  const T& attrs() const {
    return node.As<T>();
  }
};

// One run of a CPU kernel. Inputs and outputs are contiguous, aligned to kAlignment, and float32 where their TensorInfo
// does not say otherwise. Absent inputs and packed inputs are null. A kStateWrite's output lies where its state does.
struct CpuCall {
  NodeRef ref;
  std::span<const float* const> in;
  std::span<float* const> out;
  const AlignedBytes* packed = nullptr;  // what pack made, if the row has one
  float* scratch = nullptr;              // scratch_bytes of memory, aligned, uninitialised
  ThreadPool& pool;
  Scalars scalars{};  // of this run
};
using CpuRun = Status (*)(const CpuCall& call);

// Records a node's commands; defined beside the Vulkan kernels.
struct VulkanCall;
using VulkanRecord = Status (*)(const VulkanCall& call);

struct KernelRow {
  Op op;
  DeviceKind device;
  Tier tier;
  std::string_view name;
  int version;  // raised with every change of its numbers or its packing: tuning and packed weights on disk depend on
                // it
  // Whether it can run this node, its epilogue included. Null: every node of `op` without an epilogue.
  bool (*supports)(const NodeRef& ref, const DeviceCaps& caps);
  std::variant<CpuRun, VulkanRecord> run;
  size_t (*scratch_bytes)(const NodeRef& ref, const DeviceCaps& caps) = nullptr;
  // Reorders constant inputs into a block of the kernel's own. Null: the kernel reads them as they are.
  Result<AlignedBytes> (*pack)(const NodeRef& ref, const DeviceCaps& caps) = nullptr;
  // Inputs that `pack` consumes and `run` does not read (bit i = input i): their float32 form need not exist.
  uint32_t packed_inputs = 0;
  // About how many bytes `pack` will give, from what is known of the node and its constants without reading them. Null:
  // those of the packed inputs' numbers, of four bytes each, or of two where `precision` is of two.
  int64_t (*packed_bytes)(const NodeRef& ref) = nullptr;
  // Other than kF32: only for sessions that ask for it, and held to the tolerance of such products.
  Precision precision = Precision::kF32;
  bool cooperative = false;  // only for devices with cooperative matrices
  bool in_parts = false;     // Vulkan: `supports` heeds caps.max_range; others bind whole tensors

  bool Supports(const NodeRef& ref, const DeviceCaps& caps) const {
    if (precision != Precision::kF32 && precision != caps.precision) return false;
    if (cooperative && !caps.cooperative_matrix) return false;
    return supports == nullptr ? ref.node.epilogue.empty() : supports(ref, caps);
  }
};

// Every kernel there is, best first within (op, device): the ladder tries them in this order.
std::span<const KernelRow* const> KernelsFor(Op op, DeviceKind device);
std::vector<const KernelRow*> AllKernels();

}  // namespace timbre
