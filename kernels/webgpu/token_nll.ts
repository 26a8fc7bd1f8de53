// Negative log-likelihood of one target per row of logits, one workgroup per row. A well predicted token has a loss near
// zero, log(1 + rest) where `rest` sums what is not the largest logit; adding 1 first would lose it.
import type { TokenNllSpec } from "../specs.ts";
import { REDUCE_THREADS, reduceFunctions, ROW_MAIN } from "./_reduce.ts";
import { definePass, input, type KernelVariant, linearWorkgroups, output } from "./program.ts";

/** Variants of `token_nll`. */
export const tokenNllVariants: readonly KernelVariant<TokenNllSpec>[] = [{
  name: "workgroup_per_row",
  supports: () => true,
  generate: ({ rows, columns }) => ({
    passes: [definePass({
      bindings: [
        input(0, "logits", "array<f32>"),
        input(1, "targets", "array<u32>"),
        output(0, "nll", "array<f32>"),
      ],
      uniforms: { rows, columns },
      workgroups: linearWorkgroups(rows),
      body: `
${reduceFunctions("sum", "max")}
// WGSL promises only an absolute error for logarithms near 1, so small arguments take the series of 2 atanh(z).
fn log_one_plus(x: f32) -> f32 {
  if (x > 1.0) { return log(1.0 + x); }
  let z = x / (2.0 + x);
  let s = z * z;
  return 2.0 * z * (1.0 + s * (1.0 / 3.0 + s * (0.2 + s * (1.0 / 7.0 + s * (1.0 / 9.0 + s * (1.0 / 11.0 +
    s * (1.0 / 13.0 + s * (1.0 / 15.0))))))));
}
${ROW_MAIN}
  let start = row * uniforms.columns;
  var highest = -3.4e38;
  for (var j = local; j < uniforms.columns; j += ${REDUCE_THREADS}u) {
    highest = max(highest, logits[start + j]);
  }
  let top = reduce_max(local, highest);
  var rest = 0.0;
  var ties = 0.0;
  for (var j = local; j < uniforms.columns; j += ${REDUCE_THREADS}u) {
    let logit = logits[start + j];
    if (logit < top) { rest += exp(logit - top); } else { ties += 1.0; }
  }
  let sum = reduce_sum(local, rest) + (reduce_sum(local, ties) - 1.0);
  if (local == 0u) { nll[row] = (top - logits[start + targets[row]]) + log_one_plus(sum); }
}`,
    })],
  }),
}];
