// Makes zip archives in memory, also wrong ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace timbre::testing {

struct ZipMember {
  std::string name, content;
  bool deflate = false;
  uint32_t declared_size = 0;  // where not 0, what the directory claims instead of the truth
  bool no_checksum = false;    // write 0 instead
};

std::string BuildZip(const std::vector<ZipMember>& members);

// The zip form of a PyTorch checkpoint: data.pkl and storages "0", "1", ….
std::string BuildTorchZip(const std::string& pickle, const std::vector<std::string>& storages = {},
                          bool deflate = false);

}  // namespace timbre::testing
