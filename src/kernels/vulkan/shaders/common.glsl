// What every shader begins with: workgroups of 256 in a row, dispatched as a grid of groups too large for one dimension.
uint LinearGroup() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }
uint LinearThread() { return LinearGroup() * 256u + gl_LocalInvocationID.x; }
// A thread's share of `count` elements for a workgroup of 256. Mesa's software driver ends every loop of a thread after
// 65,535 turns in all, without a word; the turns of a loop that is unrolled don't count, so eight elements are one.
#extension GL_EXT_control_flow_attributes : require
#define FOR_SHARE(i, count)                                                                              \
  for (uint i##_first = gl_LocalInvocationID.x; i##_first < (count); i##_first += 8u * 256u)             \
    [[unroll]] for (uint i##_nth = 0u, i = i##_first; i##_nth < 8u; ++i##_nth, i += 256u) if (i < (count))
#define BUFFER_IN(slot, name) layout(set = 0, binding = slot) readonly buffer In##slot { float name[]; }
#define BUFFER_OUT(slot, name) layout(set = 0, binding = slot) buffer Out##slot { float name[]; }
