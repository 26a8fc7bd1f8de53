// QUIK's activation quantization, one workgroup per token: the range of the base columns, their codes, and the outlier
// columns moved out, all in one pass over a row that stays in the cache.
import {
  float16RowBytes,
  MIN_ACTIVATION_SCALE,
  packedRowBytes,
  type QuantizeActivationsSpec,
} from "../specs.ts";
import { REDUCE_THREADS, reduceFunctions, ROW_MAIN } from "./_reduce.ts";
import { quantizeBindings } from "./_quik_bindings.ts";
import { definePass, type KernelVariant, linearWorkgroups } from "./program.ts";

function body({ bits, outliers }: QuantizeActivationsSpec): string {
  const perWord = 32 / bits;
  const levels = 2 ** bits - 1;
  return `
${reduceFunctions("min", "max")}

fn code_at(start: u32, k: u32, scale: f32, zero: f32) -> u32 {
  if (k >= uniforms.base) { return 0u; }
  let level = clamp(round((x[start + base_columns[k]] - zero) / scale), 0.0, ${levels}.0);
  return u32(i32(level) - ${2 ** (bits - 1)}) & ${levels}u;
}
${outliers === 0 ? "" : OUTLIER_FUNCTION}
${ROW_MAIN}
  let start = row * uniforms.columns;
  var low = 3.4e38;
  var high = -3.4e38;
  for (var k = local; k < uniforms.base; k += ${REDUCE_THREADS}u) {
    let value = x[start + base_columns[k]];
    low = min(low, value);
    high = max(high, value);
  }
  let zero = select(reduce_min(local, low), 0.0, uniforms.base == 0u);
  let top = select(reduce_max(local, high), 0.0, uniforms.base == 0u);
  let scale = max((top - zero) / ${levels}.0, ${MIN_ACTIVATION_SCALE});
  if (local == 0u) { qparams[row] = vec2<f32>(scale, zero); }
  for (var w = local; w < uniforms.code_words; w += ${REDUCE_THREADS}u) {
    let k = w * ${perWord}u;
    codes[row * uniforms.code_words + w] = ${
    Array.from({ length: perWord }, (_, i) => `(code_at(start, k + ${i}u, scale, zero) << ${i * bits}u)`)
      .join("\n      | ")
  };
  }
${outliers === 0 ? "" : OUTLIER_LOOP}
}`;
}

const OUTLIER_FUNCTION = `
fn outlier_at(start: u32, k: u32) -> f32 {
  if (k >= uniforms.outliers) { return 0.0; }
  return clamp(x[start + outlier_columns[k]], -65504.0, 65504.0);
}`;

const OUTLIER_LOOP = `
  for (var w = local; w < uniforms.outlier_words; w += ${REDUCE_THREADS}u) {
    outlier_values[row * uniforms.outlier_words + w] =
      pack2x16float(vec2<f32>(outlier_at(start, w * 2u), outlier_at(start, w * 2u + 1u)));
  }`;

const workgroupPerRow: KernelVariant<QuantizeActivationsSpec> = {
  name: "workgroup_per_row",
  supports: () => true,
  generate: (spec) => {
    const { rows, columns, outliers, bits } = spec;
    const base = columns - outliers;
    return {
      passes: [definePass({
        bindings: quantizeBindings(spec, 1),
        uniforms: {
          rows,
          columns,
          base,
          code_words: packedRowBytes(base, bits) / 4,
          outliers,
          outlier_words: float16RowBytes(outliers) / 4,
        },
        workgroups: linearWorkgroups(rows),
        body: body(spec),
      })],
    };
  },
};

/** Variants of `quantize_activations`. */
export const quantizeActivationsVariants: readonly KernelVariant<QuantizeActivationsSpec>[] = [
  workgroupPerRow,
];
