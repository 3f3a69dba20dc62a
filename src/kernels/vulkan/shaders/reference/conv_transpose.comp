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
  int kernel[3], stride[3], crop[3];
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
  const uint gi = in_c / groups, go = out_c / groups, g = o / go;
  const uint taps = uint(kernel[0] * kernel[1] * kernel[2]);
  float sum = has_bias != 0u ? bias[o] : 0.0;
  for (int a = 0; a < kernel[0]; ++a) {
    const int td = d + crop[0] - a, id = td / stride[0];
    if (td < 0 || td % stride[0] != 0 || id >= in_d) continue;
    for (int b = 0; b < kernel[1]; ++b) {
      const int th = h + crop[1] - b, ih = th / stride[1];
      if (th < 0 || th % stride[1] != 0 || ih >= in_h) continue;
      for (int c = 0; c < kernel[2]; ++c) {
        const int tw = w + crop[2] - c, iw = tw / stride[2];
        if (tw < 0 || tw % stride[2] != 0 || iw >= in_w) continue;
        const uint p = uint(((n * in_d + id) * in_h + ih) * in_w + iw) * in_c + g * gi;
        const uint q = uint((a * kernel[1] + b) * kernel[2] + c);
        for (uint k = 0u; k < gi; ++k) sum += x[p + k] * weight[((g * gi + k) * go + o % go) * taps + q];
      }
    }
  }
  y[i] = sum;
}
