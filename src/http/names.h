// Names of files, for people: the one place where a client's text becomes one.
#pragma once

#include <string>
#include <string_view>

namespace timbre::http {

// `name` without what a file system or a terminal would take for something else: no folder, no control character, no
// leading dot, no name that Windows keeps for devices; at most 120 bytes, cut between characters and with its extension
// kept; never empty.
std::string SafeFileName(std::string_view name);

// Content-Disposition for a download under that name (RFC 6266), UTF-8 included (RFC 8187).
std::string Attachment(std::string_view name);
std::string Inline(std::string_view name);

// The file name that a Content-Disposition gives, through SafeFileName; empty where there is none.
std::string NameFromDisposition(std::string_view header);

}  // namespace timbre::http
