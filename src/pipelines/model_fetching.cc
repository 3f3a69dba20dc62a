#include "pipelines/model_fetching.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/event.h"
#include "base/quantities.h"
#include "base/text.h"
#include "models/named_model.h"

namespace timbre {

std::string SizeText(const ModelEntry& model) {
  const int64_t bytes = ModelBytes(model);
  return bytes > 0 ? BytesText(static_cast<double>(bytes)) : "of unpublished size";
}

Status FetchModel(const FetchOptions& options, const ModelEntry& model, Observer& observer) {
  const bool automatic = std::none_of(model.files.begin(), model.files.end(), [&](const ModelFile& file) {
    return (file.url.empty() || options.packages_only) && file.package.package.empty();
  });
  const std::string mirror = MirrorOf(options, model);
  const bool fetch = !options.offline && (automatic || !mirror.empty());
  const ModelState state = StatusOfModel(options.cache, model).state;
  if (state == ModelState::kInstalled || state == ModelState::kBuiltIn) return {};
  if (fetch) {
    const ModelFile& first = model.files.front();
    const bool at_address = !first.url.empty() && !options.packages_only;
    const std::string from = !mirror.empty() ? mirror
                             : at_address    ? std::string(first.url)
                                             : fmt::format("the Python package {}", first.package.package);
    Say(observer,
        fmt::format("{} is {}, from {}; licence of the weights: {}", model.name, SizeText(model), from, model.licence));
  }
  BeginProgress(observer, "fetching", model.name);
  const auto pulled = PullModel(options, model, &observer);
  EndProgress(observer);
  if (!pulled) return tl::unexpected<Error>(pulled.error());
  return {};
}

Status FetchIfNamed(const std::string& name, ModelTask task, Observer& observer, bool licence_accepted) {
  TIMBRE_CHECK(CheckModelName(name, task));
  const ModelEntry* const model = EntryOfName(name);
  if (model == nullptr || model->files.empty()) return {};  // built in: not even a place for downloads is needed
  TIMBRE_TRY(FetchOptions options, FetchOptionsFromEnvironment());
  options.licence_accepted = licence_accepted;
  Status fetched = FetchModel(options, *model, observer);
  if (fetched || fetched.error().code == ErrorCode::kCancelled || task != ModelTask::kSeparate) return fetched;
  // Neither of those below gives anything but a song's stems.
  const auto is_vocals = [](std::string_view stem) { return EqualIgnoringCase(stem, "vocals"); };
  if (std::none_of(model->stems.begin(), model->stems.end(), is_vocals)) return fetched;
  Error error = fetched.error();
  if (name != kPackagedSeparationModel) {
    const auto packaged = FindModel(kPackagedSeparationModel);
    if (packaged && StatusOfModel(options.cache, **packaged).state == ModelState::kInstalled) {
      error.message += fmt::format(" The nearest that is here is {}.", kPackagedSeparationModel);
    } else if (!options.offline) {
      error.message += fmt::format(" The nearest that a Python package index has is {}.", kPackagedSeparationModel);
    }
  }
  error.message += fmt::format(" The model {} needs no download.", kBuiltInSeparationModel);
  return tl::unexpected<Error>(std::move(error));
}

Field AcceptLicenceField(bool* value) {
  return {.name = "accept-licence",
          .value = value,
          .help = "fetch weights whose licence has to be accepted first; 'timbre models list --json -' states it"};
}

}  // namespace timbre
