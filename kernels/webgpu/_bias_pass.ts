// Adding a bias in a pass of its own, for devices that bind too few buffers to fuse it.
import {
  type ComputePass,
  definePass,
  input,
  LINEAR_WORKGROUP,
  linearWorkgroups,
  output,
} from "./program.ts";

/**
 * `y[row, column] += bias[column]`.
 *
 * @param rows Rows of output 0.
 * @param columns Columns of output 0.
 * @param biasInput Number of the input that holds the bias.
 */
export function biasPass(rows: number, columns: number, biasInput: number): ComputePass {
  return definePass({
    bindings: [input(biasInput, "bias", "array<f32>"), output(0, "y", "array<f32>")],
    uniforms: { count: rows * columns, columns },
    workgroups: linearWorkgroups(Math.ceil(rows * columns / 256)),
    body: `
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = ${LINEAR_WORKGROUP} * 256u + local;
  if (i < uniforms.count) { y[i] += bias[i % uniforms.columns]; }
}`,
  });
}
