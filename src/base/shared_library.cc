#include "base/shared_library.h"

#include <dlfcn.h>

#include <string>

#include "base/text.h"

namespace timbre {
namespace {

tl::unexpected<Error> Unusable(const SharedLibrary& library, const std::string& why) {
  return Fail(ErrorCode::kUnsupported, std::string(library.purpose) + " " + library.soname + ", which can't be used (" +
                                           why + "); install it, from the package " + library.package + " on Debian.");
}

}  // namespace

Status OpenLibrary(const SharedLibrary& library, std::span<const LibraryFunction> functions) {
  // Bound function by function, as what is linked: to bind all at once takes half as long again.
  void* const handle = dlopen(library.soname, RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) {
    constexpr size_t kLongest = 500;
    const char* const why = dlerror();
    return Unusable(library, why == nullptr ? "it can't be opened" : Printable(why, kLongest));
  }
  for (const LibraryFunction& function : functions) {
    void* const found = dlsym(handle, function.name);
    if (found == nullptr) return Unusable(library, std::string("it lacks ") + function.name);
    function.keep(found);
  }
  return {};
}

}  // namespace timbre
