#include "formats/gguf.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/checksum.h"
#include "tests/support/gguf_writer.h"

namespace {

std::vector<std::string> Seeds() {
  timbre::testing::GgufWriter writer;
  writer.Text("general.architecture", "llama")
      .U32("general.alignment", 32)
      .F32("a", 1)
      .Bool("b", true)
      .Texts("t", {"x", "yz"})
      .I32s("i", {1, 2, 3})
      .Tensor("token_embd.weight", {2, 2}, 0, timbre::testing::GgufWriter::Floats({1, 2, 3, 4}))
      .Tensor("q", {32}, 2, std::string(18, '\1'));
  return {writer.Build()};
}

}  // namespace

TIMBRE_FUZZ_TARGET(Gguf, Seeds) {
  const auto file = timbre::ReadGguf(timbre::SharedBytes::Own(std::string(bytes)));
  if (file) timbre::testing::Checksum(*file->tensors);
}
