#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// One workgroup a frame and channel: even and odd samples as one complex signal of half the length.
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(1, roots);  // then the window, centred in the frame
BUFFER_OUT(2, y);
layout(push_constant) uniform Push { uint transforms, samples, channels, frames, hop; float scale; };
#include "fft.glsl"
void main() {
  const uint id = LinearGroup(), t = gl_LocalInvocationID.x;
  if (id >= transforms) return;
  const uint c = id % channels, f = id / channels % frames, n = id / channels / frames;
  for (uint m = t; m < kHalf; m += 256u) {
    const uint s = 2u * m, p = (n * samples + f * hop + s) * channels + c, w = 4u * kHalf + s;
    z[Reversed(m)] = vec2(roots[w] * x[p], roots[w + 1u] * x[p + channels]);
  }
  Transform(-1.0);
  for (uint k = t; k <= kHalf; k += 256u) {
    const vec2 a = z[k & (kHalf - 1u)], b = Conjugate(z[(kHalf - k) & (kHalf - 1u)]);
    const vec2 v = 0.5 * (a + b) + Times(vec2(-roots[2u * k + 1u], -roots[2u * k]), 0.5 * (a - b));
    const uint p = ((n * frames + f) * (kHalf + 1u) + k) * 2u * channels + 2u * c;
    y[p] = v.x * scale;
    y[p + 1u] = v.y * scale;
  }
}
