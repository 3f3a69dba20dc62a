#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "unary.glsl"
// Steps [first, last) of a GRU (3 gates) or LSTM (4) in one dispatch; what the inputs add to the gates is computed before. kParts
// threads share the sums of a unit, a workgroup runs kSequences sequences, and their states stay in shared memory. Where
// kHeld, a thread's weights stay in registers; otherwise they are read again at every step, neighbours side by side.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kUnits = 16u;
layout(constant_id = 2) const uint kGates = 3u;
layout(constant_id = 3) const uint kParts = 1u;
layout(constant_id = 4) const uint kQuads = 4u;  // of a part, each four units of the state
layout(constant_id = 5) const uint kSequences = 1u;
layout(constant_id = 6) const uint kHeld = 0u;
BUFFER_IN(0, inputs);  // [batch, steps, gates, units], biases added
layout(set = 0, binding = 1) readonly buffer Weights { vec4 weights[]; };  // [parts, quads, gates, units]
BUFFER_IN(2, bias);    // [gates, units]
BUFFER_IN(3, h0);
BUFFER_IN(4, c0);
BUFFER_OUT(5, y);
BUFFER_OUT(6, h1);
BUFFER_OUT(7, c1);
layout(push_constant) uniform Push { uint batch, steps, reverse, first, last; };
const uint kSequenceThreads = kUnits * kParts, kStateQuads = kParts * kQuads;
shared vec4 h[kSequences * kStateQuads];
shared float part[kSequences * kParts * kGates * kUnits];
void main() {
  const uint t = gl_LocalInvocationID.x, q = t / kSequenceThreads, p = t % kSequenceThreads / kUnits, u = t % kUnits;
  const uint n = LinearGroup() * kSequences + q;
  const bool sums_here = q < kSequences, writes = sums_here && p == 0u && n < batch;
  for (uint i = t; i < kSequences * kStateQuads; i += gl_WorkGroupSize.x) h[i] = vec4(0.0);
  barrier();
  float cell = 0.0, own = 0.0, own_bias[kGates];
  if (writes) {
    own = h0[n * kUnits + u];
    h[q * kStateQuads + u / 4u][u % 4u] = own;
    if (kGates == 4u) cell = c0[n * kUnits + u];
  }
  [[unroll]] for (uint g = 0u; g < kGates; ++g) own_bias[g] = bias[g * kUnits + u];
  const uint own_weights = p * kQuads * kGates * kUnits + u;
  vec4 held[kHeld != 0u ? kQuads * kGates : 1u];
  if (kHeld != 0u && sums_here)
    [[unroll]] for (uint i = 0u; i < kQuads * kGates; ++i) held[i] = weights[own_weights + i * kUnits];
  barrier();
  for (uint s = first; s < last; ++s) {
    const uint step = n * steps + (reverse != 0u ? steps - 1u - s : s);
    float gate[kGates], sum[kGates];
    [[unroll]] for (uint g = 0u; g < kGates; ++g) {
      gate[g] = writes ? inputs[(step * kGates + g) * kUnits + u] : 0.0;
      sum[g] = 0.0;
    }
    if (sums_here) {
      const uint state = q * kStateQuads + p * kQuads;
      if (kHeld != 0u) {
        [[unroll]] for (uint i = 0u; i < kQuads; ++i) {
          const vec4 v = h[state + i];
          [[unroll]] for (uint g = 0u; g < kGates; ++g) sum[g] += dot(held[i * kGates + g], v);
        }
      } else {
        for (uint i = 0u; i < kQuads; ++i) {
          const vec4 v = h[state + i];
          [[unroll]] for (uint g = 0u; g < kGates; ++g) sum[g] += dot(weights[own_weights + (i * kGates + g) * kUnits], v);
        }
      }
      if (kParts > 1u)
        [[unroll]] for (uint g = 0u; g < kGates; ++g) part[((q * kParts + p) * kGates + g) * kUnits + u] = sum[g];
    }
    barrier();
    if (writes) {
      for (uint k = 1u; k < kParts; ++k)
        [[unroll]] for (uint g = 0u; g < kGates; ++g) sum[g] += part[((q * kParts + k) * kGates + g) * kUnits + u];
      [[unroll]] for (uint g = 0u; g < kGates; ++g) sum[g] += own_bias[g];
      if (kGates == 3u) {
        const float r = Sigmoid(gate[0] + sum[0]), z = Sigmoid(gate[1] + sum[1]), c = tanh(gate[2] + r * sum[2]);
        own = c + z * (own - c);
      } else {
        cell = Sigmoid(gate[1] + sum[1]) * cell + Sigmoid(gate[0] + sum[0]) * tanh(gate[2] + sum[2]);
        own = Sigmoid(gate[kGates - 1u] + sum[kGates - 1u]) * tanh(cell);
      }
      h[q * kStateQuads + u / 4u][u % 4u] = own;
      y[step * kUnits + u] = own;
    }
    barrier();
  }
  if (writes) {
    h1[n * kUnits + u] = own;
    if (kGates == 4u) c1[n * kUnits + u] = cell;
  }
}
