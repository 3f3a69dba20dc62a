// What shaders on cooperative matrices begin with. Sums are kM x kN, in float32; factors kM x kK and kK x kN, in halves. Where
// an element of a matrix lies in a subgroup is the device's own affair: elements are reached through shared memory. Its lines
// there begin on multiples of 16 bytes, which loads and stores ask for. Subgroups are full.
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
layout(constant_id = 0) const uint kM = 16u;
layout(constant_id = 1) const uint kN = 16u;
layout(constant_id = 2) const uint kK = 16u;
