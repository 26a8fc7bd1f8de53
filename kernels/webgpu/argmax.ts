// The likeliest token of each row of logits, one workgroup per row: greedy generation without reading logits back.
import type { ArgmaxSpec } from "../specs.ts";
import { REDUCE_THREADS, reduceFunctions, ROW_MAIN } from "./_reduce.ts";
import { definePass, input, type KernelVariant, linearWorkgroups, output } from "./program.ts";

/** Columns up to here are exact as float32, in which indices are reduced. */
const MAX_COLUMNS = 2 ** 24;

/** Variants of `argmax`. */
export const argmaxVariants: readonly KernelVariant<ArgmaxSpec>[] = [{
  name: "workgroup_per_row",
  supports: ({ columns }) => columns <= MAX_COLUMNS,
  generate: ({ rows, columns }) => ({
    passes: [definePass({
      bindings: [input(0, "logits", "array<f32>"), output(0, "ids", "array<u32>")],
      uniforms: { rows, columns },
      workgroups: linearWorkgroups(rows),
      body: `
${reduceFunctions("min", "max")}
${ROW_MAIN}
  let start = row * uniforms.columns;
  var highest = -3.4e38;
  for (var j = local; j < uniforms.columns; j += ${REDUCE_THREADS}u) {
    highest = max(highest, logits[start + j]);
  }
  let top = reduce_max(local, highest);
  var first = f32(uniforms.columns);
  for (var j = local; j < uniforms.columns; j += ${REDUCE_THREADS}u) {
    if (logits[start + j] >= top) { first = min(first, f32(j)); }
  }
  let best = u32(reduce_min(local, first));
  // A row of NaN has no largest element; its index must still be one of the row.
  if (local == 0u) { ids[row] = select(0u, best, best < uniforms.columns); }
}`,
    })],
  }),
}];
