// Recurrent layers.
#include "graph/op_cases/inputs.h"

namespace timbre {
namespace {

Cases RnnCases(int64_t gates, int states) {
  Cases cases;
  struct Size {
    const char* name;
    int64_t n, t, i, h;
    bool reverse, bias, extent = false;
  };
  for (const Size& s :
       {Size{"one_step", 1, 1, 16, 16, false, true}, Size{"steps", 2, 9, 5, 7, false, true},
        Size{"reverse", 1, 8, 8, 8, true, true}, Size{"no_bias", 1, 4, 33, 20, false, false},
        Size{"many_rows", 40, 5, 16, 8, false, true}, Size{"many_rows_reverse", 33, 70, 8, 4, true, true},
        Size{"wide", 1, 6, 256, 256, false, true}, Size{"many_steps", 2, 20000, 4, 8, false, true, true},
        Size{"many_steps_reverse", 1, 20000, 4, 8, true, true, true},
        Size{"wide_steps", 1, 64, 256, 256, false, true, true}}) {
    OpCase c{s.name, RnnAttrs{s.reverse}, {X({s.n, s.t, s.i}), W({gates * s.h, s.i}), W({gates * s.h, s.h})}};
    for (int b = 0; b < 2; ++b) c.inputs.push_back(s.bias ? V(gates * s.h) : None());
    for (int k = 0; k < states; ++k) c.inputs.push_back(X({s.n, s.h}));
    c.extent = s.extent;
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace

Cases GruCases() { return RnnCases(3, 1); }

Cases LstmCases() { return RnnCases(4, 2); }

}  // namespace timbre
