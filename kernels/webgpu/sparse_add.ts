// y += x * sparse^T, one output per invocation: rows of a sparse weight are short.
import type { SparseAddSpec } from "../quantization_specs.ts";
import {
  definePass,
  input,
  type KernelVariant,
  LINEAR_WORKGROUP,
  linearMain,
  linearWorkgroups,
  output,
} from "./program.ts";

/** Variants of `sparse_add`. */
export const sparseAddVariants: readonly KernelVariant<SparseAddSpec>[] = [{
  name: "per_element",
  supports: () => true,
  generate: ({ rows, columns, inner }) => ({
    passes: [definePass({
      bindings: [
        input(0, "x", "array<f32>"),
        input(1, "starts", "array<u32>"),
        input(2, "indices", "array<u32>"),
        input(3, "values", "array<f32>"),
        output(0, "y", "array<f32>"),
      ],
      uniforms: { count: rows * columns, columns, inner },
      workgroups: linearWorkgroups(Math.ceil(rows * columns / 256)),
      body: `
${linearMain(256)}
  let i = ${LINEAR_WORKGROUP} * 256u + local;
  if (i >= uniforms.count) { return; }
  let x_start = i / uniforms.columns * uniforms.inner;
  let column = i % uniforms.columns;
  var sum = 0.0;
  for (var at = starts[column]; at < starts[column + 1u]; at++) {
    sum += x[x_start + indices[at]] * values[at];
  }
  y[i] += sum;
}`,
    })],
  }),
}];
