#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 256) in;
BUFFER_IN(0, x);
BUFFER_IN(1, weight);
BUFFER_IN(2, bias);
BUFFER_OUT(3, y);
layout(push_constant) uniform Push {
  uint count, has_bias, groups, in_c, out_c;
  int in_d, in_h, in_w, out_d, out_h, out_w;
  int kernel[3], stride[3], dilation[3], pad[3];
};
void main() {
  const uint i = LinearThread();
  if (i >= count) return;
  const uint o = i % out_c;
  int rest = int(i / out_c);
  const int w = rest % out_w; rest /= out_w;
  const int h = rest % out_h; rest /= out_h;
  const int d = rest % out_d;
  const int n = rest / out_d;
  const uint gi = in_c / groups, first = o / (out_c / groups) * gi;
  const uint taps = uint(kernel[0] * kernel[1] * kernel[2]);
  float sum = has_bias != 0u ? bias[o] : 0.0;
  for (int a = 0; a < kernel[0]; ++a) {
    const int id = d * stride[0] - pad[0] + a * dilation[0];
    if (id < 0 || id >= in_d) continue;
    for (int b = 0; b < kernel[1]; ++b) {
      const int ih = h * stride[1] - pad[1] + b * dilation[1];
      if (ih < 0 || ih >= in_h) continue;
      for (int c = 0; c < kernel[2]; ++c) {
        const int iw = w * stride[2] - pad[2] + c * dilation[2];
        if (iw < 0 || iw >= in_w) continue;
        const uint p = uint(((n * in_d + id) * in_h + ih) * in_w + iw) * in_c + first;
        const uint q = o * gi * taps + uint((a * kernel[1] + b) * kernel[2] + c);
        for (uint k = 0u; k < gi; ++k) sum += x[p + k] * weight[q + k * taps];
      }
    }
  }
  y[i] = sum;
}
