// cos and sin of an angle of any size: devices promise neither beyond pi. Whole quarters of a turn are taken off in three
// parts of pi/2, each of few enough bits for its products to be exact; what is left lies within pi/4.
vec2 CosSin(float angle) {
  precise const float n = roundEven(angle * 0.6366197724);
  precise float r = fma(n, -1.5703125, angle);
  r = fma(n, -4.837512969970703125e-4, r);
  r = fma(n, -7.54978995489188216e-8, r);
  precise const float s = r * r;
  precise const float sine = r + r * s * (-1.6666654611e-1 + s * (8.3321608736e-3 + s * -1.9515295891e-4));
  precise const float cosine = 1.0 - 0.5 * s + s * s * (4.166664568298827e-2 + s * (-1.388731625493765e-3 + s * 2.443315711809948e-5));
  switch (int(n) & 3) {
    case 0: return vec2(cosine, sine);
    case 1: return vec2(-sine, cosine);
    case 2: return vec2(-cosine, -sine);
    default: return vec2(sine, -cosine);
  }
}
