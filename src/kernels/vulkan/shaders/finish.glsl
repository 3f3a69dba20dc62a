// What is stored at `at`: a sum, and the one that gates it, after the bias and the steps. Whoever includes this has bias, scale,
// residual and slope bound and flags, steps, out_c, alpha and beta pushed, as product_parts.glsl says.
float Finish(float v, float gate, uint channel, uint at) {
  if ((flags & 1u) != 0u) v += bias[channel];
  if ((flags & 2u) != 0u) v *= Sigmoid((flags & 1u) != 0u ? gate + bias[channel + out_c] : gate);
  for (uint s = steps; s != 0u; s >>= 4) {
    switch (s & 15u) {
      case 1u: v = Unary(flags >> 8, v, alpha, beta); break;
      case 2u: v *= scale[channel]; break;
      case 3u: v += residual[at]; break;
      default: v = v > 0.0 ? v : v * slope[(flags & 4u) != 0u ? channel : 0u];
    }
  }
  return v;
}
