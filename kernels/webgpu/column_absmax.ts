// Running maximum of |x| per column: a workgroup takes 64 columns, four invocations to each.
import type { ColumnAbsmaxSpec } from "../specs.ts";
import { definePass, input, type KernelVariant, output } from "./program.ts";

/** Variants of `column_absmax`. */
export const columnAbsmaxVariants: readonly KernelVariant<ColumnAbsmaxSpec>[] = [{
  name: "per_column",
  supports: () => true,
  generate: ({ rows, columns }) => ({
    passes: [definePass({
      bindings: [input(0, "x", "array<f32>"), output(0, "absmax", "array<f32>")],
      uniforms: { rows, columns },
      workgroups: [Math.max(1, Math.ceil(columns / 64)), 1, 1],
      body: `
var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let column = min(workgroup.x * 64u + local % 64u, uniforms.columns - 1u);
  var highest = 0.0;
  for (var row = local / 64u; row < uniforms.rows; row += 4u) {
    highest = max(highest, abs(x[row * uniforms.columns + column]));
  }
  partial[local] = highest;
  workgroupBarrier();
  if (local < 64u && workgroup.x * 64u + local < uniforms.columns) {
    let rest = max(max(partial[local + 64u], partial[local + 128u]), partial[local + 192u]);
    absmax[column] = max(absmax[column], max(highest, rest));
  }
}`,
    })],
  }),
}];
