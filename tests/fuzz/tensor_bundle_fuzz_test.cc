// The index of a TensorFlow checkpoint; also with checksums made right again, so that what they guard is reached.
#include "base/crc32c.h"
#include "formats/tensor_bundle.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/bundle_writer.h"
#include "tests/support/checksum.h"

namespace {

using timbre::testing::BundleWriter;

std::vector<std::string> Seeds() {
  BundleWriter writer;
  writer.Tensor("conv2d/bias", 1, {3}, BundleWriter::Floats({1, 2, 3})).Tensor("step", 3, {}, "abcd");
  return {writer.Index()};
}

// One data block at the front, of whatever size the file leaves, with a sound frame around it.
std::string Framed(std::string_view block) {
  const auto crc = [](const std::string& bytes) {
    const uint32_t sum = timbre::Crc32c(bytes);
    const uint32_t masked = (sum >> 15 | sum << 17) + 0xa282ead8u;
    return std::string(reinterpret_cast<const char*>(&masked), 4);
  };
  const auto varint = [](uint64_t value) {
    std::string bytes;
    for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
    return bytes + static_cast<char>(value);
  };
  std::string data = std::string(block) + '\0';
  data += crc(data);
  const std::string handle = varint(0) + varint(block.size());
  std::string index = std::string("\0\1", 2) + varint(handle.size()) + "~" + handle + std::string(4, '\0');
  index += std::string("\1\0\0\0", 4);
  const size_t size = index.size();
  index += '\0';
  index += crc(index);
  std::string footer = varint(0) + varint(0) + varint(data.size()) + varint(size);
  footer.resize(40, '\0');
  return data + index + footer + std::string("\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8);
}

}  // namespace

TIMBRE_FUZZ_TARGET(TensorBundle, Seeds, 10000) {
  const auto data = timbre::SharedBytes::Own(timbre::testing::BundleWriter::Floats({1, 2, 3}) + "abcd");
  for (const std::string& index : {std::string(bytes), Framed(bytes)}) {
    const auto read = timbre::ReadTensorBundle(timbre::SharedBytes::Own(index), data);
    if (read) timbre::testing::Checksum(*read);
  }
}
