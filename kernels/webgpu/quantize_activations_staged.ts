// QUIK's activation quantization for rows that fit workgroup memory: a row is read once, in order; its base columns are
// gathered from workgroup memory into registers, where they stay through the range and the rounding.
import {
  float16RowBytes,
  MIN_ACTIVATION_SCALE,
  packedRowBytes,
  type QuantizeActivationsSpec,
} from "../specs.ts";
import { decodeEnables, decodeFits } from "./_decode.ts";
import { quantizeBindings } from "./_quik_bindings.ts";
import { definePass, type KernelVariant, LINEAR_WORKGROUP, linearMain, linearWorkgroups } from "./program.ts";
import { range } from "./_range.ts";

/** Most code words of a row that one invocation keeps. */
const MOST_WORDS = 4;

/** Words of workgroup memory that hold a row. */
const rowWords = (columns: number): number => columns + (columns >> 5) + 1;

const codeWords = ({ columns, outliers, bits }: QuantizeActivationsSpec): number =>
  packedRowBytes(columns - outliers, bits) / 4;

/** Reduces `low` and `high` over the workgroup to `zero` and `top`. */
function reduction(threads: number, subgroups: boolean): string {
  const own = `let own_low = min(min(low.x, low.y), min(low.z, low.w));
  let own_high = max(max(high.x, high.y), max(high.z, high.w));`;
  if (subgroups) {
    const all = (name: string, combine: string): string =>
      range(threads / 32).map((i) => `${name}[${i}]`).reduce((a, b) => `${combine}(${a}, ${b})`);
    return `${own}
  let subgroup_low = subgroupMin(own_low);
  let subgroup_high = subgroupMax(own_high);
  if (local % 32u == 0u) { lows[local / 32u] = subgroup_low; highs[local / 32u] = subgroup_high; }
  workgroupBarrier();
  let zero = ${all("lows", "min")};
  let top = ${all("highs", "max")};`;
  }
  return `${own}
  lows[local] = own_low;
  highs[local] = own_high;
  workgroupBarrier();
  for (var stride = ${threads / 2}u; stride > 0u; stride >>= 1u) {
    if (local < stride) {
      lows[local] = min(lows[local], lows[local + stride]);
      highs[local] = max(highs[local], highs[local + stride]);
    }
    workgroupBarrier();
  }
  let zero = lows[0];
  let top = highs[0];`;
}

function body(spec: QuantizeActivationsSpec, threads: number, subgroups: boolean): string {
  const reduce = reduction(threads, subgroups);
  const { columns, bits, outliers } = spec;
  const perWord = 32 / bits;
  const levels = 2 ** bits - 1;
  const base = columns - outliers;
  const words = codeWords(spec);
  const held = range(Math.ceil(words / threads));
  const outlierWords = float16RowBytes(outliers) / 4;
  const word = (h: number): string => `(local + ${h * threads}u)`;
  const vectors = range(perWord / 4);
  const gather = (h: number, v: number): string => {
    const index = `${word(h)} * ${perWord / 4}u + ${v}u`;
    return `columns_here = base_columns[min(${index}, ${Math.ceil(base / 4) - 1}u)];
    value_${h}_${v} = vec4<f32>(row_values[spread(columns_here.x)], row_values[spread(columns_here.y)], row_values[spread(columns_here.z)], row_values[spread(columns_here.w)]);
    inside = (vec4<u32>(${index}) * 4u + vec4<u32>(0u, 1u, 2u, 3u)) < vec4<u32>(${base}u);
    low = min(low, select(vec4<f32>(3.4e38), value_${h}_${v}, inside));
    high = max(high, select(vec4<f32>(-3.4e38), value_${h}_${v}, inside));`;
  };
  const encode = (h: number, v: number): string => {
    const index = `${word(h)} * ${perWord / 4}u + ${v}u`;
    return `{
      let inside = (vec4<u32>(${index}) * 4u + vec4<u32>(0u, 1u, 2u, 3u)) < vec4<u32>(${base}u);
      let level = clamp(round((value_${h}_${v} - zero) / scale), vec4<f32>(0.0), vec4<f32>(${levels}.0));
      let code = bitcast<vec4<u32>>(vec4<i32>(level) - vec4<i32>(${2 ** (bits - 1)})) & vec4<u32>(${levels}u);
      let shifted = select(vec4<u32>(0u), code, inside) << vec4<u32>(${
      range(4).map((i) => `${(4 * v + i) * bits}u`).join(", ")
    });
      packed |= shifted.x | shifted.y | shifted.z | shifted.w;
    }`;
  };
  return `
var<workgroup> row_values: array<f32, ${rowWords(columns)}>;
var<workgroup> lows: array<f32, ${threads}>;
var<workgroup> highs: array<f32, ${threads}>;

// Eight neighbors per invocation would meet in the same banks; one word in 33 is left out.
fn spread(column: u32) -> u32 { return column + (column >> 5u); }

${linearMain(threads)}
  let row = ${LINEAR_WORKGROUP};
  if (row >= uniforms.rows) { return; }
  for (var v = local; v < ${columns / 4}u; v += ${threads}u) {
    let value = x[row * ${columns / 4}u + v];
    row_values[spread(v * 4u)] = value.x;
    row_values[spread(v * 4u + 1u)] = value.y;
    row_values[spread(v * 4u + 2u)] = value.z;
    row_values[spread(v * 4u + 3u)] = value.w;
  }
  workgroupBarrier();
  var low = vec4<f32>(3.4e38);
  var high = vec4<f32>(-3.4e38);
  var columns_here: vec4<u32>;
  var inside: vec4<bool>;
  ${held.map((h) => vectors.map((v) => `var value_${h}_${v}: vec4<f32>;`).join(" ")).join("\n  ")}
  ${
    held.map((h) => `if (${word(h)} < ${words}u) { ${vectors.map((v) => gather(h, v)).join("\n    ")} }`)
      .join("\n  ")
  }
  ${reduce}
  let scale = max((top - zero) / ${levels}.0, ${MIN_ACTIVATION_SCALE});
  if (local == 0u) { qparams[row] = vec2<f32>(scale, zero); }
  ${
    held.map((h) =>
      `if (${word(h)} < ${words}u) {
    var packed = 0u;
    ${vectors.map((v) => encode(h, v)).join("\n    ")}
    codes[row * ${words}u + ${word(h)}] = packed;
  }`
    ).join("\n  ")
  }
  ${
    outliers === 0 ? "" : `for (var w = local; w < ${outlierWords}u; w += ${threads}u) {
    outlier_values[row * ${outlierWords}u + w] = pack2x16float(vec2<f32>(outlier_at(2u * w), outlier_at(2u * w + 1u)));
  }`
  }
}
${
    outliers === 0 ? "" : `
fn outlier_at(k: u32) -> f32 {
  if (k >= ${outliers}u) { return 0.0; }
  return clamp(row_values[spread(outlier_columns[k])], -65504.0, 65504.0);
}`
  }`;
}

/** Few rows leave processors idle anyway, so each takes more invocations. */
const threadsFor = ({ rows }: QuantizeActivationsSpec): number => rows < 64 ? 512 : 256;

const staged: KernelVariant<QuantizeActivationsSpec> = {
  name: "staged_row",
  supports: (spec, { limits }) => {
    const threads = threadsFor(spec);
    return spec.columns % 4 === 0 && spec.columns > spec.outliers &&
      (rowWords(spec.columns) + 2 * threads) * 4 <= limits.maxComputeWorkgroupStorageSize &&
      threads <= limits.maxComputeInvocationsPerWorkgroup && codeWords(spec) <= MOST_WORDS * threads;
  },
  generate: (spec, capabilities) => ({
    passes: [definePass({
      enables: decodeFits(capabilities) ? decodeEnables(capabilities) : [],
      bindings: quantizeBindings(spec, 4),
      uniforms: { rows: spec.rows },
      workgroups: linearWorkgroups(spec.rows),
      body: body(spec, threadsFor(spec), decodeFits(capabilities)),
    })],
  }),
};

/** Variants of `quantize_activations` for rows that fit workgroup memory. */
export const quantizeActivationsStagedVariants: readonly KernelVariant<QuantizeActivationsSpec>[] = [staged];
