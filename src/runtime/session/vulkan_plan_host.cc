#include <cstring>

#include "runtime/check/verify.h"
#include "runtime/session/steps.h"
#include "runtime/session/vulkan_plan.h"

namespace timbre {

Status VulkanPlan::ToDevice(std::span<const TensorId> ids, const Fill& fill) {
  if (arena_.mapped()) {
    for (size_t i = 0; i < ids.size(); ++i)
      fill(i, PlaceOf(ids[i]).buffer->mapped() + PlaceOf(ids[i]).offset, static_cast<size_t>(Bytes(ids[i])));
    return {};
  }
  TIMBRE_TRY(auto copy, device_.Record(options_.faults));
  int64_t at = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    fill(i, staging_.mapped() + at, static_cast<size_t>(Bytes(ids[i])));
    const Place place = PlaceOf(ids[i]);
    copy->Copy(staging_, static_cast<uint64_t>(at), *place.buffer, place.offset, static_cast<uint64_t>(Bytes(ids[i])));
    at += Padded(ids[i]);
  }
  TIMBRE_CHECK(copy->End());
  return device_.Run(*copy, options_.cancelled);
}

Status VulkanPlan::FromDevice(std::span<const TensorId> ids, const Take& take) {
  if (arena_.mapped()) {
    for (size_t i = 0; i < ids.size(); ++i)
      take(i, PlaceOf(ids[i]).buffer->mapped() + PlaceOf(ids[i]).offset, static_cast<size_t>(Bytes(ids[i])));
    return {};
  }
  TIMBRE_TRY(auto copy, device_.Record(options_.faults));
  int64_t at = 0;
  for (const TensorId id : ids) {
    if (const Place place = PlaceOf(id); place.buffer != nullptr)
      copy->Copy(*place.buffer, place.offset, staging_, static_cast<uint64_t>(at), static_cast<uint64_t>(Bytes(id)));
    at += Padded(id);
  }
  TIMBRE_CHECK(copy->End());
  TIMBRE_CHECK(device_.Run(*copy, options_.cancelled));
  at = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    take(i, staging_.mapped() + at, static_cast<size_t>(Bytes(ids[i])));
    at += Padded(ids[i]);
  }
  return {};
}

Status VulkanPlan::Verify(size_t index) {
  const auto compare = [&] { return CompareWithOracle(graph_.nodes[index]); };
  return Descend(compare, [&, tries = size_t{0}](const Error& error) mutable -> Status {
    wrong_ = steps_[index].row;
    CpuLadder* const cpu = steps_[index].cpu.get();
    if (cpu == nullptr || tries++ == cpu->rungs()) return tl::unexpected<Error>(error);
    TIMBRE_CHECK(cpu->StepDown(error));
    return RunOnCpu(index);
  });
}

Status VulkanPlan::CompareWithOracle(const Node& node) {
  std::map<TensorId, std::vector<float>> host;
  std::vector<TensorId> ids;
  for (const auto& list : {node.inputs, node.outputs}) {
    for (const TensorId id : list) {
      if (id != kNoTensor && !graph_.IsConstant(id) && host.emplace(id, graph_.shape(id).elements()).second)
        ids.push_back(id);
    }
  }
  TIMBRE_CHECK(FromDevice(
      ids, [&](size_t i, const std::byte* from, size_t bytes) { std::memcpy(host[ids[i]].data(), from, bytes); }));
  std::vector<const float*> in, out;
  for (const TensorId id : node.inputs) in.push_back(host.contains(id) ? host[id].data() : nullptr);
  for (const TensorId id : node.outputs) out.push_back(host[id].data());
  return VerifyNode(graph_, node, in, out, options_.precision, shared_.scalars);
}

Status VulkanPlan::RunOnCpu(size_t index) {
  const Node& node = graph_.nodes[index];
  std::vector<TensorId> read;
  for (const TensorId id : node.inputs) {
    if (id != kNoTensor && !graph_.IsConstant(id)) read.push_back(id);
  }
  // Host copies of what the node reads and writes, aligned as CPU kernels want it.
  std::map<TensorId, AlignedBytes> host;
  for (const auto& ids : {read, node.outputs}) {
    for (const TensorId id : ids) {
      TIMBRE_TRY(host[id], AlignedBytes::Allocate(static_cast<size_t>(Bytes(id))));
    }
  }
  TIMBRE_CHECK(FromDevice(
      read, [&](size_t i, const std::byte* from, size_t bytes) { std::memcpy(host[read[i]].data(), from, bytes); }));
  std::vector<const float*> in;
  std::vector<float*> out;
  for (const TensorId id : node.inputs)
    in.push_back(id == kNoTensor || graph_.IsConstant(id) ? nullptr : host[id].f32());
  for (const TensorId id : node.outputs) out.push_back(host[id].f32());
  TIMBRE_CHECK(steps_[index].cpu->Run(in, out));
  if (const int k = write_of_[index]; k >= 0 && !writes_[k].whole) {
    auto* const kept = reinterpret_cast<float*>(slots_[0].out.mapped() + slots_[0].write_offsets[k]);
    if (in[1] != nullptr) {
      std::memcpy(kept, in[1], static_cast<size_t>(Bytes(written_[k])));
    } else {
      graph_.tensors[written_[k]].constant.ReadF32(kept);
    }
  }
  return ToDevice(node.outputs, [&](size_t i, std::byte* to, size_t bytes) { std::memcpy(to, out[i], bytes); });
}

}  // namespace timbre
