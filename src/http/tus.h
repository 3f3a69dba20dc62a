// Headers of the tus resumable upload protocol, 1.0.0.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace timbre::http {

// The bytes of base64 (RFC 4648, 4), padded; nothing where it is none.
std::optional<std::string> Base64Decode(std::string_view text);

// Upload-Metadata: "filename d29ybGQ=,is_private". At most 32 names; nothing where it is malformed.
std::optional<std::map<std::string, std::string>> ParseUploadMetadata(std::string_view header);

// Upload-Checksum: "sha256 BASE64", as 64 hexadecimal digits; nothing where it is malformed or of another kind.
std::optional<std::string> ParseUploadChecksum(std::string_view header);

// Upload-Length and Upload-Offset: digits, no more than 18; -1 where it is none.
int64_t ParseUploadNumber(std::string_view header);

}  // namespace timbre::http
