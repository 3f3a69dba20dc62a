#include "engine/ids.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>

namespace timbre::engine {
namespace {

std::string Hex(const unsigned char* bytes, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

// So few bytes getrandom gives at once; before the system has gathered enough it waits.
void Randomise(unsigned char* bytes, size_t count) {
  while (getrandom(bytes, count, 0) != static_cast<ssize_t>(count)) {
  }
}

}  // namespace

int64_t Now() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string TimeText(int64_t microseconds) {
  const std::time_t seconds = microseconds / 1000000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), microseconds / 1000 % 1000);
}

std::string NewId() {
  std::array<unsigned char, 16> bytes;
  Randomise(bytes.data(), bytes.size());
  // Ids of a process are made in their order: of one millisecond by a count in the 12 bits behind it, and where that
  // is full, or the clock goes back, by a millisecond that is yet to come.
  static std::atomic<uint64_t> last{0};
  const auto now = static_cast<uint64_t>(Now() / 1000) << 12;
  uint64_t before = last.load(), stamp = 0;
  do {
    stamp = std::max(now, before + 1);
  } while (!last.compare_exchange_weak(before, stamp));
  const uint64_t milliseconds = stamp >> 12;
  for (int i = 0; i < 6; ++i) bytes[static_cast<size_t>(i)] = static_cast<unsigned char>(milliseconds >> (40 - 8 * i));
  bytes[6] = static_cast<unsigned char>(0x70 | (stamp >> 8 & 0x0F));
  bytes[7] = static_cast<unsigned char>(stamp & 0xFF);
  bytes[8] = static_cast<unsigned char>(0x80 | (bytes[8] & 0x3F));
  const std::string hex = Hex(bytes.data(), bytes.size());
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" + hex.substr(16, 4) + "-" +
         hex.substr(20);
}

bool IsId(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    const bool digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
    if (hyphen ? text[i] != '-' : !digit) return false;
  }
  return true;
}

std::string NewToken() {
  std::array<unsigned char, 32> bytes;
  Randomise(bytes.data(), bytes.size());
  return Hex(bytes.data(), bytes.size());
}

std::string Sha256Of(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int length = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1) {
    return NewToken();  // equals nothing: what can't be compared is never the same
  }
  return Hex(digest.data(), length);
}

}  // namespace timbre::engine
