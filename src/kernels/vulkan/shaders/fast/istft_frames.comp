#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
// One workgroup a frame and channel: its inverse transform times the window, [batch, frames, samples, channels].
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(1, roots);  // then the window, centred in the frame
BUFFER_OUT(2, y);
layout(push_constant) uniform Push { uint transforms, channels, frames; float scale; };
#include "fft.glsl"
void main() {
  const uint id = LinearGroup(), t = gl_LocalInvocationID.x;
  if (id >= transforms) return;
  const uint c = id % channels, f = id / channels;  // over the batch too
  const uint first = f * (kHalf + 1u) * 2u * channels + 2u * c;
  for (uint k = t; k < kHalf; k += 256u) {
    const uint p = first + k * 2u * channels, q = first + (kHalf - k) * 2u * channels;
    // A real signal's first and last bins are real, whatever stands there.
    const vec2 a = vec2(x[p], k == 0u ? 0.0 : x[p + 1u]), b = vec2(x[q], k == 0u ? 0.0 : -x[q + 1u]);
    z[Reversed(k)] = a + b + Times(vec2(-roots[2u * k + 1u], roots[2u * k]), a - b);
  }
  Transform(1.0);
  for (uint m = t; m < kHalf; m += 256u) {
    const uint s = 2u * m, p = (f * 2u * kHalf + s) * channels + c, w = 4u * kHalf + s;
    y[p] = z[m].x * scale * roots[w];
    y[p + channels] = z[m].y * scale * roots[w + 1u];
  }
}
