#include "runtime/check/verdicts.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/file_lock.h"
#include "base/paths.h"
#include "kernels/cpu/simd.h"

namespace timbre {
namespace {

using Json = nlohmann::json;

std::string PathOf() {
  const auto folder = CacheDir();
  return folder ? *folder + "/doctor.json" : "";
}

// Whatever stands in the file: an object of devices, or an empty one.
Json ReadAll() {
  constexpr uintmax_t kLargest = 4 << 20;
  const std::string path = PathOf();
  std::error_code error;
  if (path.empty() || !std::filesystem::is_regular_file(path, error) ||
      std::filesystem::file_size(path, error) > kLargest)
    return Json::object();
  std::ifstream file(path);
  Json all = Json::parse(file, nullptr, false);
  return all.is_object() ? all : Json::object();
}

DeviceVerdict VerdictIn(const Json& all, const std::string& key) {
  DeviceVerdict verdict;
  const auto found = all.find(key);
  if (found == all.end() || !found->is_object()) return verdict;
  if (const auto wrong = found->find("wrong"); wrong != found->end() && wrong->is_array()) {
    for (const Json& name : *wrong) {
      if (name.is_string()) verdict.wrong.insert(name.get<std::string>());
    }
  }
  if (const auto seconds = found->find("seconds"); seconds != found->end() && seconds->is_object()) {
    for (const auto& [network, time] : seconds->items()) {
      if (time.is_number()) verdict.seconds[network] = time.get<double>();
    }
  }
  return verdict;
}

}  // namespace

std::string VerdictKey(const std::string& name, const std::string& driver, const std::string& driver_version) {
  return name + " | " + driver + " | " + driver_version;
}

std::string DeviceVerdict::IdOf(const KernelRow& row) {
  return std::string(row.name) + "@" + std::to_string(row.version);
}

std::string CpuVerdictKey() { return CpuVerdictKey(SimdTarget()); }

std::string CpuVerdictKey(const std::string& simd_target) { return VerdictKey("CPU", simd_target, ""); }

DeviceVerdict ReadVerdict(const std::string& key) { return VerdictIn(ReadAll(), key); }

Status ChangeVerdict(const std::string& key, const std::function<void(DeviceVerdict&)>& change) {
  const std::string path = PathOf();
  if (path.empty()) return Fail(ErrorCode::kIo, "there is no folder to keep what was found; set TIMBRE_CACHE to one");
  TIMBRE_CHECK(MakeFolders(std::filesystem::path(path).parent_path().string()));
  TIMBRE_TRY(const FileLock lock, FileLock::Acquire(path + ".lock", {}));
  Json all = ReadAll();
  DeviceVerdict verdict = VerdictIn(all, key);
  change(verdict);
  all[key] = {{"wrong", verdict.wrong}, {"seconds", verdict.seconds}};
  TIMBRE_TRY(AtomicFile file, AtomicFile::Create(path));
  TIMBRE_CHECK(file.Write(std::string_view(all.dump(1, ' ', false, Json::error_handler_t::replace))));
  return file.Commit();
}

}  // namespace timbre
