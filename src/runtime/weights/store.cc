#include "runtime/weights/store.h"

#include <bit>
#include <cstring>

namespace timbre {

ContentId IdOf(std::span<const std::byte> bytes) {
  // Four lanes of multiplying and rotating, so that memory is the limit, mixed into two numbers at the end.
  constexpr uint64_t kA = 0x9E3779B185EBCA87, kB = 0xC2B2AE3D27D4EB4F;
  std::array<uint64_t, 4> lanes{kA, kB, ~kA, ~kB};
  size_t at = 0;
  for (; at + 32 <= bytes.size(); at += 32) {
    std::array<uint64_t, 4> words;
    std::memcpy(words.data(), bytes.data() + at, 32);
    for (size_t i = 0; i < 4; ++i) lanes[i] = std::rotl(lanes[i] + words[i] * kB, 31) * kA;
  }
  std::array<uint64_t, 4> rest{};
  if (at < bytes.size()) std::memcpy(rest.data(), bytes.data() + at, bytes.size() - at);
  for (size_t i = 0; i < 4; ++i) lanes[i] = std::rotl(lanes[i] + rest[i] * kB, 31) * kA;
  const auto finish = [](uint64_t x) {
    x = (x ^ x >> 33) * 0xFF51AFD7ED558CCD;
    x = (x ^ x >> 33) * 0xC4CEB9FE1A85EC53;
    return x ^ x >> 33;
  };
  ContentId id{bytes.size(), {bytes.size(), ~bytes.size()}};
  for (size_t i = 0; i < 4; ++i) {
    id.hash[0] = finish(id.hash[0] ^ lanes[i]);
    id.hash[1] = finish(id.hash[1] * kA + lanes[3 - i]);
  }
  return id;
}

WeightStore& WeightStore::Get() {
  static WeightStore store;
  return store;
}

std::shared_ptr<const AlignedBytes> WeightStore::Share(AlignedBytes bytes) {
  const ContentId id = IdOf({bytes.data(), bytes.size()});
  std::lock_guard lock(mutex_);
  if (held_.size() % 64 == 0) std::erase_if(held_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<const AlignedBytes>& entry = held_[id];
  // What is empty may have no address, which memcmp must not be given.
  const auto same = [&](const AlignedBytes& other) {
    return bytes.size() == 0 || std::memcmp(other.data(), bytes.data(), bytes.size()) == 0;
  };
  if (auto held = entry.lock(); held && same(*held)) return held;
  auto kept = std::make_shared<const AlignedBytes>(std::move(bytes));
  entry = kept;
  return kept;
}

int64_t WeightStore::bytes() const {
  std::lock_guard lock(mutex_);
  int64_t sum = 0;
  for (const auto& [id, entry] : held_) {
    if (const auto held = entry.lock()) sum += static_cast<int64_t>(held->size());
  }
  return sum;
}

}  // namespace timbre
