#include "base/sha256.h"

#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

namespace timbre {
namespace {

Error NoSha256() { return {ErrorCode::kInternal, "libcrypto offers no SHA-256."}; }

std::string Hex(const unsigned char* digest, unsigned int length) {
  std::string hex;
  for (unsigned int i = 0; i < length; ++i) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

}  // namespace

Result<std::string> Sha256Of(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1) {
    return tl::unexpected<Error>(NoSha256());
  }
  return Hex(digest.data(), length);
}

Result<std::string> Sha256OfFile(const std::filesystem::path& path, const std::function<bool()>& cancelled) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) return Fail(ErrorCode::kIo, path.string() + " can't be opened: " + std::strerror(errno) + ".");
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) {
    return tl::unexpected<Error>(NoSha256());
  }
  std::vector<unsigned char> buffer(size_t{4} << 20);
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    EVP_DigestUpdate(context.get(), buffer.data(), n);
    if (cancelled && cancelled()) return Fail(ErrorCode::kCancelled, "cancelled.");
  }
  if (std::ferror(file.get()))
    return Fail(ErrorCode::kIo, path.string() + " can't be read: " + std::strerror(errno) + ".");
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int length = 0;
  EVP_DigestFinal_ex(context.get(), digest.data(), &length);
  return Hex(digest.data(), length);
}

}  // namespace timbre
