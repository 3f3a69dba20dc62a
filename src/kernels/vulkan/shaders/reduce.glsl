// A reduction's sizes. The input's axes, kept ones first: an element's address is a sum over both kinds. fn: 0 sum, 1 mean,
// 2 max, 3 min, 4 standard deviation over n - ddof.
layout(push_constant) uniform Push { uint outputs, terms, fn, ddof, kept; uint dims[6], stride[6]; };
uint Address(uint index, uint lo, uint hi) {
  uint p = 0;
  [[unroll]] for (uint back = 0u; back < 6u; ++back) {
    const uint axis = 5u - back;
    if (axis >= lo && axis < hi && dims[axis] != 1u) {
      p += index % dims[axis] * stride[axis];
      index /= dims[axis];
    }
  }
  return p;
}
