// y[b] = scale a[b] b[b] + bias of the row. Workgroups: tiles of columns, tiles of rows, batch. a_batch 0: the same for all.
layout(local_size_x = 256) in;
BUFFER_IN(0, a);
BUFFER_IN(1, b);
BUFFER_IN(2, bias);
BUFFER_OUT(3, y);
layout(push_constant) uniform Push { uint rows, depth, columns, a_batch, transpose_b, has_bias; float scale; };

// Elements of the factors; zeros outside.
float A(uint row, uint k) { return k < depth && row < rows ? a[gl_WorkGroupID.z * a_batch + row * depth + k] : 0.0; }
float B(uint k, uint column) {
  if (k >= depth || column >= columns) return 0.0;
  const uint batch = gl_WorkGroupID.z;
  return b[transpose_b != 0u ? (batch * columns + column) * depth + k : (batch * depth + k) * columns + column];
}

void Store(uint row, uint column, float sum) {
  if (row < rows && column < columns)
    y[(gl_WorkGroupID.z * rows + row) * columns + column] = sum * scale + (has_bias != 0u ? bias[row] : 0.0);
}
