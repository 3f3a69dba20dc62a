#include "tests/fuzz/fuzz.h"

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <random>

namespace timbre::testing {
namespace {

class Mutator {
 public:
  explicit Mutator(const std::vector<std::string>& seeds) : seeds_(seeds) {}

  std::string Next() {
    std::string bytes = Seed();
    for (uint64_t changes = 1 + Below(4); changes-- > 0;) Change(bytes);
    return bytes;
  }

 private:
  // std::uniform_int_distribution differs between libraries; the inputs must not.
  uint64_t Below(uint64_t bound) { return bound == 0 ? 0 : random_() % bound; }
  const std::string& Seed() { return seeds_[Below(seeds_.size())]; }

  void Change(std::string& bytes) {
    const size_t at = Below(bytes.size());
    const size_t run = 1 + Below(1 + Below(32));
    switch (Below(bytes.empty() ? 2 : 9)) {
      case 0: bytes.insert(at, 1, static_cast<char>(Below(256))); break;
      case 1: {
        const std::string& other = Seed();
        const size_t from = Below(other.size());
        bytes.insert(at, other.substr(from, run));
        break;
      }
      case 2: bytes[at] = static_cast<char>(bytes[at] ^ 1 << Below(8)); break;
      case 3: bytes[at] = static_cast<char>(Below(256)); break;
      case 4: bytes.erase(at, run); break;
      case 5: bytes.resize(at); break;
      case 6: bytes.insert(Below(bytes.size()), bytes.substr(at, run)); break;
      case 7: {
        const std::string& other = Seed();
        bytes = bytes.substr(0, at) + other.substr(Below(other.size()));
        break;
      }
      default: {  // a number at the edge of some type
        const uint64_t edges[] = {
            0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, ~uint64_t{0}};
        const uint64_t edge = edges[Below(10)];
        const size_t width = size_t{1} << Below(4);
        for (size_t i = 0; i < width && at + i < bytes.size(); ++i) bytes[at + i] = static_cast<char>(edge >> (8 * i));
      }
    }
  }

  const std::vector<std::string>& seeds_;
  std::mt19937_64 random_{20240607};
};

}  // namespace

void FuzzBriefly(FuzzBody body, const std::vector<std::string>& seeds, int mutations) {
  for (const std::string& seed : seeds) body(seed);
  Mutator mutator(seeds);
  // Copied to a block of its own size, so that the address sanitizer sees a read one byte beyond it.
  for (int i = 0; i < mutations; ++i) {
    const std::string bytes = mutator.Next();
    const std::vector<char> exact(bytes.begin(), bytes.end());
    body(std::string_view(exact.data(), exact.size()));
  }
}

void WriteSeedsIfAsked(int argc, char** argv, const std::vector<std::string>& seeds) {
  if (argc != 3 || std::string_view(argv[1]) != "--write-seeds") return;
  for (size_t i = 0; i < seeds.size(); ++i) {
    std::ofstream file(std::string(argv[2]) + "/seed-" + std::to_string(i), std::ios::binary);
    file << seeds[i];
  }
  std::exit(0);
}

}  // namespace timbre::testing
