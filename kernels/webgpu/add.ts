// y = a + b, four elements per invocation where the count allows it.
import type { AddSpec } from "../specs.ts";
import {
  definePass,
  input,
  type KernelProgram,
  type KernelVariant,
  LINEAR_WORKGROUP,
  linearWorkgroups,
  output,
} from "./program.ts";

/** Element-wise sum. */
export const addVariant: KernelVariant<AddSpec> = {
  name: "elementwise",
  supports: () => true,
  generate: ({ count }): KernelProgram => {
    const lanes = count % 4 === 0 ? 4 : 1;
    const type = lanes === 4 ? "array<vec4<f32>>" : "array<f32>";
    const items = count / lanes;
    return {
      passes: [definePass({
        bindings: [input(0, "a", type), input(1, "b", type), output(0, "y", type)],
        uniforms: { items },
        workgroups: linearWorkgroups(Math.ceil(items / 256)),
        body: `
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = ${LINEAR_WORKGROUP} * 256u + local;
  if (i < uniforms.items) {
    y[i] = a[i] + b[i];
  }
}`,
      })],
    };
  },
};
