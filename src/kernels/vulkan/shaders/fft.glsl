// A complex transform of kHalf points (a power of two) in shared memory by 256 threads. `roots` holds cos and sin of
// 2 pi k / (2 kHalf). Values go in at Reversed(index) and come out in order.
layout(constant_id = 0) const uint kHalf = 64u;
shared vec2 z[kHalf];

uint Reversed(uint m) { return bitfieldReverse(m) >> (32 - findMSB(kHalf)); }
vec2 Times(vec2 a, vec2 b) { return vec2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x); }
vec2 Conjugate(vec2 a) { return vec2(a.x, -a.y); }

// direction -1: the transform; 1: its inverse times kHalf.
void Transform(float direction) {
  for (uint m = 1u; m < kHalf; m <<= 1) {
    barrier();
    const uint step = kHalf / m;
    for (uint b = gl_LocalInvocationID.x; b < kHalf / 2u; b += 256u) {
      const uint j = b & (m - 1u), p = 2u * (b - j) + j;
      const vec2 w = vec2(roots[2u * j * step], direction * roots[2u * j * step + 1u]);
      const vec2 u = z[p], v = Times(z[p + m], w);
      z[p] = u + v;
      z[p + m] = u - v;
    }
  }
  barrier();
}
