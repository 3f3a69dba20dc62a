// Compiled shaders, kept on disk from one process to the next as the driver gives them.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/atomic_file.h"
#include "base/paths.h"
#include "runtime/device/vulkan_functions.h"

namespace timbre {
namespace {

// Drivers check the cache's own header (vendor, device, build) and start afresh where it does not fit.
std::string CachePath(const VulkanDeviceInfo& info) {
  const auto folder = CacheDir();
  if (!folder) return "";
  std::string name = info.name + "-" + info.driver + "-" + info.driver_version;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-') c = '_';
  }
  return *folder + "/pipelines/" + name.substr(0, 150) + ".bin";
}

}  // namespace

void VulkanDevice::LoadPipelineCache() {
  constexpr uintmax_t kLargest = 256 << 20;
  std::vector<char> bytes;
  const std::string path = CachePath(info_);
  std::error_code error;
  if (!path.empty() && std::filesystem::is_regular_file(path, error) &&
      std::filesystem::file_size(path, error) <= kLargest) {
    std::ifstream file(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  cached_bytes_ = bytes.size();
  VkPipelineCacheCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
  info.initialDataSize = bytes.size();
  info.pInitialData = bytes.data();
  if (vk_->CreatePipelineCache(device_, &info, nullptr, &cache_) == VK_SUCCESS) return;
  info.initialDataSize = 0;
  if (vk_->CreatePipelineCache(device_, &info, nullptr, &cache_) != VK_SUCCESS)
    cache_ = VK_NULL_HANDLE;  // slower, nothing else
}

void VulkanDevice::SavePipelineCache() {
  size_t size = 0;
  if (cache_ == VK_NULL_HANDLE || vk_->GetPipelineCacheData(device_, cache_, &size, nullptr) != VK_SUCCESS) return;
  const std::string path = CachePath(info_);
  if (size == 0 || size == cached_bytes_ || path.empty()) return;
  std::vector<char> bytes(size);
  if (vk_->GetPipelineCacheData(device_, cache_, &size, bytes.data()) != VK_SUCCESS) return;
  // A cache that can't be kept costs the next start some time: no error.
  if (!MakeFolders(std::filesystem::path(path).parent_path().string())) return;
  auto file = AtomicFile::Create(path);
  if (file && file->Write(std::as_bytes(std::span(bytes.data(), size)))) (void)file->Commit();
}

Result<VkPipeline> VulkanDevice::Pipeline(const Shader& shader, std::span<const uint32_t> specialization,
                                          FaultInjector* faults) {
  std::lock_guard lock(pipelines_mutex_);
  std::string key(shader.name);
  for (const uint32_t word : specialization) key += "," + std::to_string(word);
  if (const auto found = pipelines_.find(key); found != pipelines_.end()) return found->second;
  if (faults) TIMBRE_CHECK(faults->Pass(FaultPoint::kPipeline, key));
  VkShaderModuleCreateInfo code{VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO};
  code.codeSize = shader.spirv.size_bytes();
  code.pCode = shader.spirv.data();
  VkShaderModule module;
  if (vk_->CreateShaderModule(device_, &code, nullptr, &module) != VK_SUCCESS) {
    return Fail(ErrorCode::kKernelFailed, info_.name + " does not take the shader '" + key + "'");
  }
  std::vector<VkSpecializationMapEntry> entries;
  for (uint32_t i = 0; i < specialization.size(); ++i) entries.push_back({i, i * 4, 4});
  const VkSpecializationInfo constants{static_cast<uint32_t>(entries.size()), entries.data(),
                                       specialization.size_bytes(), specialization.data()};
  VkComputePipelineCreateInfo info{VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO};
  info.stage = {VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                nullptr,
                0,
                VK_SHADER_STAGE_COMPUTE_BIT,
                module,
                "main",
                &constants};
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT subgroup{
      VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT};
  if (shader.cooperative) {
    subgroup.requiredSubgroupSize = static_cast<uint32_t>(caps_.cooperative_matrix.subgroup);
    info.stage.pNext = &subgroup;
    info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT;
  }
  info.layout = layout_;
  VkPipeline pipeline = VK_NULL_HANDLE;
  const VkResult result = vk_->CreateComputePipelines(device_, cache_, 1, &info, nullptr, &pipeline);
  vk_->DestroyShaderModule(device_, module, nullptr);
  if (result == VK_ERROR_DEVICE_LOST) return tl::unexpected<Error>(Check(result, "compile a shader").error());
  if (result != VK_SUCCESS) {
    return Fail(ErrorCode::kKernelFailed, info_.name + " could not compile the shader '" + key + "' (Vulkan error " +
                                              std::to_string(result) + ")");
  }
  pipelines_[key] = pipeline;
  return pipeline;
}

}  // namespace timbre
