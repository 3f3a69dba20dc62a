// Sums and maxima over a workgroup of 256 threads: within subgroups first, whatever their size, then over those.
#extension GL_KHR_shader_subgroup_arithmetic : require
shared float across[256];
float SumOfAll(float v) {
  v = subgroupAdd(v);
  barrier();  // what was there has been read
  if (subgroupElect()) across[gl_SubgroupID] = v;
  barrier();
  v = 0.0;
  for (uint i = 0u; i < gl_NumSubgroups; ++i) v += across[i];
  return v;
}
float MaxOfAll(float v) {
  v = subgroupMax(v);
  barrier();
  if (subgroupElect()) across[gl_SubgroupID] = v;
  barrier();
  v = across[0];
  for (uint i = 1u; i < gl_NumSubgroups; ++i) v = max(v, across[i]);
  return v;
}
