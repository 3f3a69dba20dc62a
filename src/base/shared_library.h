// Libraries that are opened when something needs them, not when the program starts: every one that is linked costs each
// command the time to load it, and all that it needs in turn.
#pragma once

#include <span>

#include "base/result.h"

namespace timbre {

struct SharedLibrary {
  const char* soname;   // "libavutil.so.57"
  const char* package;  // Debian's
  const char* purpose;  // the sentence's begin where it is missing: "sound is decoded by"
};

struct LibraryFunction {
  const char* name;
  void (*keep)(void* function);  // stores where it was found
};

// What of a library is used is a list, a macro that applies another to every function's name. These make of it pointers
// by the functions' own names, so that code of their namespace calls them as it would the functions: null before the
// library is open. A function that is not on the list is one that the linker doesn't find.
// NOLINTBEGIN(bugprone-macro-parentheses): names, not expressions
#define TIMBRE_DECLARE_FUNCTION(name) extern decltype(&::name) name;
#define TIMBRE_DEFINE_FUNCTION(name) decltype(&::name) name = nullptr;
// And the rows of a table.
#define TIMBRE_FIND_FUNCTION(name) \
  ::timbre::LibraryFunction{#name, [](void* function) { name = reinterpret_cast<decltype(name)>(function); }},
// NOLINTEND(bugprone-macro-parentheses)

// Opens the library for as long as the process lives, and finds all of the functions in it. The pointers belong to the
// caller, who sees to it that this happens once. Errors: kUnsupported where it is missing or lacks a function.
Status OpenLibrary(const SharedLibrary& library, std::span<const LibraryFunction> functions);

}  // namespace timbre
