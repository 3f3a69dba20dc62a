// Parts sound that lies in memory: separate MODEL RATE < stereo.f32. Interleaved float32 samples from the standard
// input; the level of each stem to the standard output.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <timbre/timbre.hpp>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: separate MODEL RATE < stereo.f32\n");
    return 2;
  }
  timbre::Sound mix(2);
  for (float frame[2]; std::fread(frame, sizeof frame, 1, stdin) == 1;) {
    for (int c = 0; c < 2; ++c) mix[c].push_back(frame[c]);
  }
  auto separator = timbre::Separator::Create("{\"model\": \"" + std::string(argv[1]) + "\"}");
  if (!separator) {
    std::fprintf(stderr, "%s\n", separator.error().c_str());
    return 1;
  }
  auto stems = separator->Run(mix, std::atoi(argv[2]));
  if (!stems) {
    std::fprintf(stderr, "%s\n", stems.error().c_str());
    return 1;
  }
  const std::vector<std::string> names = separator->stems();
  for (std::size_t s = 0; s < names.size(); ++s) {
    double energy = 0;
    for (const float x : (*stems)[s][0]) energy += x * x;
    std::printf("%s %.6f\n", names[s].c_str(), std::sqrt(energy / static_cast<double>(mix[0].size())));
  }
  return 0;
}
