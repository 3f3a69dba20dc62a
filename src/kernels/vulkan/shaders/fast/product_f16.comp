#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "common.glsl"
// Both factors are halves in shared memory, which then holds twice as much; sums stay in float32.
#define SLICE float16_t
#include "product.glsl"
