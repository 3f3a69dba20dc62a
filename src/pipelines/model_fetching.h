// Models of the catalogue, fetched where they are needed.
#pragma once

#include <string>

#include "base/fields.h"
#include "base/observer.h"
#include "base/result.h"
#include "models/catalogue.h"
#include "store/fetch.h"

namespace timbre {

// "84 MB", or "of unpublished size".
std::string SizeText(const ModelEntry& model);

// Fetches the model if it isn't there, after saying how large it is, from where, and under which licence.
Status FetchModel(const FetchOptions& options, const ModelEntry& model, Observer& observer);

// For jobs that compute: where `name` is a model of the catalogue, has it fetched; what lies on disk is left alone.
// Nothing is fetched for another task (CheckModelName of models/named_model.h). The error names the model that needs no
// download, if there is one for the task.
Status FetchIfNamed(const std::string& name, ModelTask task, Observer& observer, bool licence_accepted = false);

// --accept-licence.
Field AcceptLicenceField(bool* value);

}  // namespace timbre
