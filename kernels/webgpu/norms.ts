// Root-mean-square and layer normalization, one workgroup per row.
import type { LayerNormSpec, RmsNormSpec } from "../specs.ts";
import { REDUCE_THREADS, reduceFunctions, ROW_MAIN } from "./_reduce.ts";
import { definePass, input, type KernelVariant, linearWorkgroups, output } from "./program.ts";

const EACH = `for (var j = local; j < uniforms.columns; j += ${REDUCE_THREADS}u)`;

/** A float literal of WGSL. */
function literal(value: number): string {
  return `f32(${value})`;
}

/** Variants of `rms_norm`. */
export const rmsNormVariants: readonly KernelVariant<RmsNormSpec>[] = [{
  name: "workgroup_per_row",
  supports: () => true,
  generate: ({ rows, columns, epsilon }) => ({
    passes: [definePass({
      bindings: [
        input(0, "x", "array<f32>"),
        input(1, "weight", "array<f32>"),
        output(0, "y", "array<f32>"),
      ],
      uniforms: { rows, columns },
      workgroups: linearWorkgroups(rows),
      body: `
${reduceFunctions("sum")}
${ROW_MAIN}
  let start = row * uniforms.columns;
  var squares = 0.0;
  ${EACH} { squares += x[start + j] * x[start + j]; }
  let mean = reduce_sum(local, squares) / f32(uniforms.columns);
  let inverse = 1.0 / sqrt(mean + ${literal(epsilon)});
  ${EACH} { y[start + j] = x[start + j] * inverse * weight[j]; }
}`,
    })],
  }),
}];

/** Variants of `layer_norm`. */
export const layerNormVariants: readonly KernelVariant<LayerNormSpec>[] = [{
  name: "workgroup_per_row",
  supports: () => true,
  generate: ({ rows, columns, epsilon }) => ({
    passes: [definePass({
      bindings: [
        input(0, "x", "array<f32>"),
        input(1, "weight", "array<f32>"),
        input(2, "bias", "array<f32>"),
        output(0, "y", "array<f32>"),
      ],
      uniforms: { rows, columns },
      workgroups: linearWorkgroups(rows),
      body: `
${reduceFunctions("sum")}
${ROW_MAIN}
  let start = row * uniforms.columns;
  var sum = 0.0;
  ${EACH} { sum += x[start + j]; }
  let mean = reduce_sum(local, sum) / f32(uniforms.columns);
  // Squared distances from the mean, not the difference of two large sums, which cancels.
  var squares = 0.0;
  ${EACH} { let distance = x[start + j] - mean; squares += distance * distance; }
  let variance = reduce_sum(local, squares) / f32(uniforms.columns);
  let inverse = 1.0 / sqrt(variance + ${literal(epsilon)});
  ${EACH} { y[start + j] = (x[start + j] - mean) * inverse * weight[j] + bias[j]; }
}`,
    })],
  }),
}];
