// QUIK's product in one pass: the exact integer product, then the float16 outliers as a second product of the same
// tile, then scales, zero-point correction and bias in float32 on the registers that hold the sums.
import { float16RowBytes, type QuikLinearSpec } from "../specs.ts";
import {
  exactSum,
  integerUniforms,
  integerUnitVectors,
  rowIntegerPhase,
  tiledIntegerPhase,
} from "./_integer_phase.ts";
import { halfRowsOperand } from "./_operands.ts";
import { finishPass } from "./_finish_pass.ts";
import { FEW_ROWS, rowBlock, rowShader, rowWorkgroups } from "./_rows.ts";
import { multiplyFloat, tiledShader, type TilePhase, type TileShape, tileWorkgroups } from "./_tile.ts";
import { TILE_SHAPES, tileFits, tileSuits } from "./_tile_variants.ts";
import {
  resultBinding,
  resultEnables,
  resultFunctions,
  resultUniforms,
  storeResult,
  storesResult,
} from "./_result.ts";
import type { WebGpuCapabilities } from "./capabilities.ts";
import { quikBindings } from "./_quik_bindings.ts";
import {
  type Binding,
  type ComputePass,
  definePass,
  type KernelProgram,
  type KernelVariant,
  scratch,
} from "./program.ts";

/** The outlier product; tiles of words hold its floats as bits. */
function outlierPhase(word: "u32" | "f32"): Omit<TilePhase, "steps"> {
  const float = (value: string): string => word === "u32" ? `bitcast<vec4<f32>>(${value})` : value;
  return {
    left: halfRowsOperand({ buffer: "outlier_left", rows: "uniforms.rows" }, word),
    right: halfRowsOperand({ buffer: "outlier_right", rows: "uniforms.columns" }, word),
    accumulator: "outlier",
    accumulatorType: "f32",
    multiply: (sum, a, b) =>
      `{ let fa = ${float(a)}; let fb = ${float(b)}; ${multiplyFloat(sum, "fa", "fb")} }`,
  };
}

const PER_ROW = (spec: QuikLinearSpec): string =>
  `let scale = qparams[row].x; let shift = qparams[row].y + ${2 ** (spec.activationBits - 1)}.0 * scale;`;

function result(spec: QuikLinearSpec, sum: (phase: number) => string): string {
  const terms = [
    `f32(${exactSum(spec, sum(0))}) * scale * weight_scale[column]`,
    "shift * reduced[column]",
    ...(spec.outliers > 0 ? [sum(1)] : []),
    ...(spec.bias ? ["bias[column]"] : []),
  ];
  return storeResult(spec, terms.join(" + "));
}

function uniformsOf(spec: QuikLinearSpec, depth: number, outlierVectors: number): Record<string, number> {
  const stride = float16RowBytes(spec.outliers) / 16;
  return {
    rows: spec.rows,
    columns: spec.columns,
    ...integerUniforms(spec, depth),
    ...(spec.outliers > 0
      ? { outlier_stride: stride, outlier_steps: Math.ceil(2 * stride / outlierVectors) }
      : {}),
    ...resultUniforms(spec),
  };
}

/**
 * The fused pass, or, where a device binds fewer than all nine buffers or cannot store float16, one that leaves sums and
 * one that finishes them.
 */
function finished(
  spec: QuikLinearSpec,
  capabilities: WebGpuCapabilities,
  fused: (spec: QuikLinearSpec, y: Binding) => ComputePass,
): KernelProgram {
  const { rows, columns, activation, resultType } = spec;
  const binds = quikBindings(spec).length <= capabilities.limits.maxStorageBuffersPerShaderStage;
  if (binds && storesResult(spec, capabilities)) return { passes: [fused(spec, resultBinding(spec))] };
  const sums: QuikLinearSpec = {
    ...spec,
    bias: spec.bias && binds,
    activation: undefined,
    resultType: undefined,
  };
  const biasInput = spec.bias && !sums.bias ? 7 : undefined;
  const finish = finishPass({ rows, columns, activation, resultType, biasInput });
  if (resultType !== "float16") return { passes: [fused(sums, resultBinding(sums)), finish] };
  return {
    passes: [fused(sums, scratch(0, "y", "array<f32>", "write")), finish],
    scratch: [rows * columns * 4],
  };
}

/** The buffers of the fused pass. */
function bindingsOf(spec: QuikLinearSpec, y: Binding): Binding[] {
  return quikBindings(spec).map((binding) => binding.name === "y" ? y : binding);
}

function tiled(name: string, shape: TileShape): KernelVariant<QuikLinearSpec> {
  return {
    name,
    supports: (_spec, capabilities) => tileFits(shape, capabilities),
    suits: ({ rows, columns }) => rows > FEW_ROWS && tileSuits(shape, rows, columns),
    generate: (whole, capabilities) =>
      finished(whole, capabilities, (spec, y) =>
        definePass({
          enables: resultEnables(spec),
          bindings: bindingsOf(spec, y),
          uniforms: uniformsOf(spec, shape.depth, shape.depth),
          workgroups: tileWorkgroups(shape, spec.rows, spec.columns),
          body: resultFunctions(spec) + tiledShader(shape, [
            tiledIntegerPhase(spec),
            ...(spec.outliers > 0 ? [{ ...outlierPhase("u32"), steps: "uniforms.outlier_steps" }] : []),
          ], {
            wordType: "u32",
            perRow: PER_ROW(spec),
            perElement: (sum) => result(spec, sum),
          }),
        })),
  };
}

const fewRows: KernelVariant<QuikLinearSpec> = {
  name: "few_rows",
  supports: ({ rows }) => rows <= FEW_ROWS,
  generate: (whole, capabilities) =>
    finished(whole, capabilities, (spec, y) =>
      definePass({
        enables: resultEnables(spec),
        bindings: bindingsOf(spec, y),
        uniforms: uniformsOf(spec, integerUnitVectors(spec), 2),
        workgroups: rowWorkgroups(spec.columns),
        body: resultFunctions(spec) + rowShader(rowBlock(spec.rows), [
          rowIntegerPhase(spec),
          ...(spec.outliers > 0 ? [{ ...outlierPhase("f32"), units: "uniforms.outlier_steps" }] : []),
        ], (sum) => `${PER_ROW(spec)} ${result(spec, sum)}`),
      })),
};

/** Variants of `quik_linear`. */
export const quikLinearVariants: readonly KernelVariant<QuikLinearSpec>[] = [
  fewRows,
  ...TILE_SHAPES.map(([name, shape]) => tiled(name, shape)),
];
