// The unary functions, numbered as UnaryFn.

// Below 1 the Maclaurin series; above, Abramowitz and Stegun 7.1.26, whose error of 1.5e-7 is about a rounding there.
float Erf(float x) {
  const float a = abs(x);
  if (a < 1.0) {
    const float s = x * x;
    float sum = 1.0 / 76204800.0;
    sum = -1.0 / 6894720.0 + s * sum;
    sum = 1.0 / 685440.0 + s * sum;
    sum = -1.0 / 75600.0 + s * sum;
    sum = 1.0 / 9360.0 + s * sum;
    sum = -1.0 / 1320.0 + s * sum;
    sum = 1.0 / 216.0 + s * sum;
    sum = -1.0 / 42.0 + s * sum;
    sum = 1.0 / 10.0 + s * sum;
    sum = -1.0 / 3.0 + s * sum;
    return 1.1283791670955126 * (x + x * s * sum);
  }
  const float t = 1.0 / (1.0 + 0.3275911 * a);
  const float p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return sign(x) * (1.0 - p * exp(-a * a));
}

float Sigmoid(float x) { return 1.0 / (1.0 + exp(-x)); }

float Unary(uint fn, float x, float alpha, float beta) {
  switch (fn) {
    case 1u: return max(x, 0.0);
    case 2u: return x > 0.0 ? x : alpha * x;
    case 3u: return x > 0.0 ? x : alpha * (exp(x) - 1.0);
    case 4u: return 0.5 * x * (1.0 + Erf(x * 0.7071067811865476));
    case 5u: return x * Sigmoid(x);
    case 6u: return Sigmoid(x);
    case 7u: return tanh(x);
    case 8u: return exp(x);
    case 9u: return log(x);
    case 10u: return sqrt(x);
    case 11u: return 1.0 / sqrt(x);
    case 12u: return abs(x);
    case 13u: return -x;
    case 14u: return x * x;
    case 15u: return sin(x);
    case 16u: return cos(x);
    case 17u: { const float s = sin(alpha * x); return x + s * s / alpha; }
    case 18u: return min(max(x, alpha), beta);
    case 19u: return alpha * x + beta;
    case 20u: return pow(x, alpha);
    case 21u: return x * Sigmoid(x * (1.5957691216 + 0.0713548163 * x * x));
    default: return x;
  }
}
