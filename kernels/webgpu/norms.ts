// Root-mean-square and layer normalization, one workgroup per row.
import type { LayerNormSpec, RmsNormSpec } from "../specs.ts";
import { REDUCE_THREADS, reduceFunctions, ROW_MAIN } from "./_reduce.ts";
import {
  definePass,
  input,
  type KernelProgram,
  type KernelVariant,
  linearWorkgroups,
  output,
} from "./program.ts";

const EACH = `for (var j = local; j < uniforms.columns; j += ${REDUCE_THREADS}u)`;

/** A program that normalizes each row of `x`, given its parameters by column and the statements for one row. */
function normProgram(
  { rows, columns }: { readonly rows: number; readonly columns: number },
  parameters: readonly string[],
  statements: string,
): KernelProgram {
  return {
    passes: [definePass({
      bindings: [
        ...["x", ...parameters].map((name, i) => input(i, name, "array<f32>")),
        output(0, "y", "array<f32>"),
      ],
      uniforms: { rows, columns },
      workgroups: linearWorkgroups(rows),
      body: `
${reduceFunctions("sum")}
${ROW_MAIN}
  let start = row * uniforms.columns;
  ${statements}
}`,
    })],
  };
}

/** Variants of `rms_norm`. */
export const rmsNormVariants: readonly KernelVariant<RmsNormSpec>[] = [{
  name: "workgroup_per_row",
  supports: () => true,
  generate: (spec) =>
    normProgram(
      spec,
      ["weight"],
      `var squares = 0.0;
  ${EACH} { squares += x[start + j] * x[start + j]; }
  let mean = reduce_sum(local, squares) / f32(uniforms.columns);
  let inverse = 1.0 / sqrt(mean + f32(${spec.epsilon}));
  ${EACH} { y[start + j] = x[start + j] * inverse * weight[j]; }`,
    ),
}];

/** Variants of `layer_norm`. */
export const layerNormVariants: readonly KernelVariant<LayerNormSpec>[] = [{
  name: "workgroup_per_row",
  supports: () => true,
  generate: (spec) =>
    normProgram(
      spec,
      ["weight", "bias"],
      `var sum = 0.0;
  ${EACH} { sum += x[start + j]; }
  let mean = reduce_sum(local, sum) / f32(uniforms.columns);
  // Squared distances from the mean, not the difference of two large sums, which cancels.
  var squares = 0.0;
  ${EACH} { let distance = x[start + j] - mean; squares += distance * distance; }
  let variance = reduce_sum(local, squares) / f32(uniforms.columns);
  let inverse = 1.0 / sqrt(variance + f32(${spec.epsilon}));
  ${EACH} { y[start + j] = (x[start + j] - mean) * inverse * weight[j] + bias[j]; }`,
    ),
}];
