// Ops that move rows: embedding look-up and cache growth. One invocation per element.
import type { GatherRowsSpec, ScatterRowsSpec } from "../specs.ts";
import { floatStorage } from "./_operands.ts";
import {
  type Binding,
  definePass,
  input,
  type KernelProgram,
  type KernelVariant,
  LINEAR_WORKGROUP,
  linearMain,
  linearWorkgroups,
  output,
} from "./program.ts";

function perElement(
  rows: number,
  columns: number,
  bindings: readonly Binding[],
  statement: string,
): KernelProgram {
  return {
    passes: [definePass({
      bindings,
      uniforms: { count: rows * columns, columns },
      workgroups: linearWorkgroups(Math.ceil(rows * columns / 256)),
      body: `
${linearMain(256)}
  let i = ${LINEAR_WORKGROUP} * 256u + local;
  if (i >= uniforms.count) { return; }
  let row = i / uniforms.columns;
  let column = i % uniforms.columns;
  ${statement}
}`,
    })],
  };
}

/** Variants of `gather_rows`. */
export const gatherRowsVariants: readonly KernelVariant<GatherRowsSpec>[] = [{
  name: "per_element",
  supports: () => true,
  generate: ({ rows, columns, tableType }) => {
    const { binding, load } = floatStorage(tableType);
    return perElement(
      rows,
      columns,
      [input(0, "table", binding), input(1, "ids", "array<u32>"), output(0, "y", "array<f32>")],
      `y[i] = ${load("table", "(ids[row] * uniforms.columns + column)")};`,
    );
  },
}];

/** Variants of `scatter_rows`. */
export const scatterRowsVariants: readonly KernelVariant<ScatterRowsSpec>[] = [{
  name: "per_element",
  supports: () => true,
  generate: ({ rows, columns }) =>
    perElement(
      rows,
      columns,
      [
        input(0, "source", "array<f32>"),
        input(1, "positions", "array<u32>"),
        output(0, "target_rows", "array<f32>"),
      ],
      "target_rows[positions[row] * uniforms.columns + column] = source[i];",
    ),
}];
