// Standard normal noise from a seed, the same as PyTorch's on a CPU.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>

namespace timbre {

// Each Fill is one torch.randn of so many values, to the last bits of its functions; the numbers go on from call to
// call.
class NormalNoise {
 public:
  explicit NormalNoise(uint64_t seed) : engine_(static_cast<uint32_t>(seed)) {}
  void Fill(std::span<float> values);

 private:
  double Uniform53();

  std::mt19937 engine_;
  std::optional<double> second_;  // of a pair that was made for few values
};

}  // namespace timbre
