// What every shader begins with: workgroups of 256 in a row, dispatched as a grid of groups too large for one dimension.
uint LinearGroup() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }
uint LinearThread() { return LinearGroup() * 256u + gl_LocalInvocationID.x; }
#define BUFFER_IN(slot, name) layout(set = 0, binding = slot) readonly buffer In##slot { float name[]; }
#define BUFFER_OUT(slot, name) layout(set = 0, binding = slot) buffer Out##slot { float name[]; }
