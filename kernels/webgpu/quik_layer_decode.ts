// A whole QUIK layer for a token or a few in one dispatch: every workgroup quantizes x for itself, which costs less than
// a dispatch and the wait between two, then multiplies as `quik_linear_decode` does.
import type { QuikLayerSpec } from "../specs.ts";
import { decodeEnables, decodeShader, decodeTakes, decodeWorkgroups } from "./_decode.ts";
import type { DecodePhase, DecodeShape } from "./_decode_loops.ts";
import { unpackEights } from "./_eights.ts";
import { exactSum } from "./_integer_phase.ts";
import { multiplyVectors, outlierPhase, quikEpilogue, quikPhases } from "./_quik_decode.ts";
import {
  canStage,
  codesStride,
  halvesStride,
  outlierUnits,
  quantizedRowBytes,
  quantizedRowMemory,
  quantizeRows,
  type RowPlan,
  unitEights,
  weightUnits,
} from "./_quantize_row.ts";
import { resultBinding, storesResult } from "./_result.ts";
import { type Binding, definePass, input, type KernelVariant } from "./program.ts";
import { range } from "./_range.ts";

/** Most tokens: each costs every workgroup a quantization. */
const MOST_ROWS = 4;

/** Statements that make a unit of weight codes int8, eight by eight as `quantizeRows` leaves those of x. */
function expandUnit({ weightBits }: QuikLayerSpec, r: number, fetched: string): string {
  if (weightBits === 8) return `let w_${r}_0 = ${fetched};`;
  // A nibble in the high half of a byte counts 16 times, which the result divides out.
  return unpackEights(
    r,
    `(${fetched} << vec4<u32>(4u)) & vec4<u32>(0xf0f0f0f0u)`,
    `${fetched} & vec4<u32>(0xf0f0f0f0u)`,
  );
}

function codesPhase(plan: RowPlan): DecodePhase {
  const { spec } = plan;
  const stride = codesStride(plan);
  const vectors = range(unitEights(spec) / 2);
  const eight = (e: number, m: number, unit: string): string =>
    `codes[${(e * spec.rows + m) * stride}u + ${unit}]`;
  return {
    right: "right",
    units: weightUnits(spec),
    sum: "acc",
    type: "i32",
    loadRow: (m, unit) =>
      vectors.map((v) => `let x_${v} = vec4<u32>(${eight(2 * v, m, unit)}, ${eight(2 * v + 1, m, unit)});`)
        .join(" "),
    expand: (r, fetched) => expandUnit(spec, r, fetched),
    multiply: (r, _m, sum) => multiplyVectors(vectors.length, r, sum),
  };
}

function bindingsOf({ spec, staged }: RowPlan): Binding[] {
  const { outliers, bias } = spec;
  return [
    input(0, "x", staged ? "array<vec4<f32>>" : "array<f32>"),
    input(1, "base_columns", staged ? "array<vec4<u32>>" : "array<u32>"),
    input(3, "right", "array<vec4<u32>>"),
    input(4, "weight_scale", "array<f32>"),
    input(5, "reduced", "array<f32>"),
    ...(outliers > 0
      ? [
        input(2, "outlier_columns", staged ? "array<vec4<u32>>" : "array<u32>"),
        input(6, "outlier_right", "array<vec4<u32>>"),
      ]
      : []),
    ...(bias ? [input(7, "bias", "array<f32>")] : []),
    resultBinding(spec),
  ];
}

/** The variant of one division of the columns; see `RowPlan` for `staged`. */
export function quikLayerDecode(
  name: string,
  shape: DecodeShape,
  staged: boolean,
): KernelVariant<QuikLayerSpec> {
  const planOf = (spec: QuikLayerSpec): RowPlan => ({ spec, subgroups: shape.subgroups, staged });
  return {
    name,
    supports: (spec, capabilities) => {
      const { limits } = capabilities;
      return decodeTakes(shape, spec, capabilities, MOST_ROWS) && storesResult(spec, capabilities) &&
        spec.activationBits >= spec.weightBits && (!staged || canStage(spec)) &&
        spec.inner + spec.outliers <= 32768 &&
        quantizedRowBytes(planOf(spec)) <= limits.maxComputeWorkgroupStorageSize &&
        bindingsOf(planOf(spec)).length <= limits.maxStorageBuffersPerShaderStage;
    },
    generate: (spec, capabilities) => {
      const plan = planOf(spec);
      const four = (i: number, m: number, unit: string): string =>
        `halves[${(i * spec.rows + m) * halvesStride(plan)}u + ${unit}]`;
      const half = (m: number, unit: string): string => `vec4<u32>(${four(0, m, unit)}, ${four(1, m, unit)})`;
      const phases = quikPhases(spec, codesPhase(plan), outlierPhase(outlierUnits(spec), half));
      return {
        passes: [definePass({
          enables: decodeEnables(capabilities, spec),
          bindings: bindingsOf(plan),
          workgroups: decodeWorkgroups(shape, spec.columns),
          body: decodeShader(shape, { first: 0, rows: spec.rows }, spec, phases, {
            declarations: quantizedRowMemory(plan),
            ...quantizeRows(plan),
            // Codes of activations are bytes here, and count once.
            ...quikEpilogue(spec, "token[row]", (sum) => exactSum({ ...spec, activationBits: 8 }, sum)),
          }),
        })],
      };
    },
  };
}

/** Bytes of workgroup memory that leave room for a second workgroup on a processor. */
const HALF_A_PROCESSOR = 24000;

/** Variants of `quik_layer` for a few tokens; the counts of workgroups fill a device of 132 processors. */
export const quikLayerDecodeVariants: readonly KernelVariant<QuikLayerSpec>[] = [
  {
    ...quikLayerDecode("decode_8", { columns: 2, unroll: 4, subgroups: 8, workgroups: 264 }, true),
    suits: (spec) => quantizedRowBytes({ spec, subgroups: 8, staged: true }) <= HALF_A_PROCESSOR,
  },
  quikLayerDecode("decode_16", { columns: 2, unroll: 4, subgroups: 16, workgroups: 132 }, true),
  quikLayerDecode("decode_gathered", { columns: 1, unroll: 4, subgroups: 16, workgroups: 264 }, false),
];
