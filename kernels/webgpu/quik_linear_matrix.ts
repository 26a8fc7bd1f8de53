// QUIK's product on subgroup matrices, in one dispatch: the exact integer product; its sums scaled and corrected to
// float32 in workgroup memory; then the float16 outlier columns added into the same registers, on matrices again.
import { float16RowBytes, type QuikLinearSpec } from "../specs.ts";
import { integerMatrixPhase } from "./_matrix_integer.ts";
import { exactSum } from "./_integer_phase.ts";
import { wholeRows } from "./_matrix_operands.ts";
import { dividedPlan, type MatrixPlan, wholePlan } from "./_matrix_plans.ts";
import { MATRIX_SHAPES, SPLIT_MATRIX_SHAPES } from "./_matrix_shapes.ts";
import {
  drainSums,
  matrixResultBinding,
  matrixResultFunctions,
  reloadSums,
  storesMatrixResult,
} from "./_matrix_epilogue.ts";
import {
  inFirstPart,
  partSums,
  type Portion,
  portionPasses,
  portionWorkgroups,
  storePortion,
} from "./_matrix_split.ts";
import { type MatrixPhase, matrixPhase } from "./_matrix_phase.ts";
import {
  declareSums,
  matrixEnables,
  matrixFits,
  matrixPrologue,
  type MatrixShape,
  tiling,
} from "./_matrix_tile.ts";
import { type Binding, definePass, input, type KernelVariant, linearWorkgroups } from "./program.ts";

function componentsOf({ outliers }: QuikLinearSpec): ("i8" | "f16")[] {
  return outliers > 0 ? ["i8", "f16"] : ["i8"];
}

function bindingsOf(
  spec: QuikLinearSpec,
  { left, right }: MatrixPhase,
  { split }: Portion,
): Binding[] {
  const { outliers, bias } = spec;
  return [
    input(0, "left", `array<${left.load}>`),
    input(1, "qparams", "array<vec2<f32>>"),
    input(3, "right", `array<${right.load}>`),
    input(4, "weight_scale", "array<vec4<f32>>"),
    input(5, "reduced", "array<vec4<f32>>"),
    ...(outliers > 0
      ? [input(2, "outlier_left", "array<vec4<u32>>"), input(6, "outlier_right", "array<vec4<u32>>")]
      : []),
    ...(bias ? [input(7, "bias", "array<vec4<f32>>")] : []),
    split ? partSums(0, "write") : matrixResultBinding(spec, "f32"),
  ];
}

function outlierPhase(spec: QuikLinearSpec, shape: MatrixShape): MatrixPhase {
  const { leftRows, rightRows } = tiling(shape, spec.rows, spec.columns);
  const rowBytes = float16RowBytes(spec.outliers);
  return {
    component: "f16",
    left: wholeRows({ buffer: "outlier_left", rowBytes, rows: leftRows }),
    right: wholeRows({ buffer: "outlier_right", rowBytes, rows: rightRows }),
    blocks: Math.ceil(rowBytes / 64),
  };
}

function body(spec: QuikLinearSpec, shape: MatrixShape, portion: Portion): string {
  const { range, split } = portion;
  const { declarations, phase } = integerMatrixPhase(spec, shape);
  const perColumns = `
    let parameter = min(column, uniforms.columns - 1u) / 4u;
    let scale_here = weight_scale[parameter];
    let reduced_here = reduced[parameter];
    ${spec.bias ? "let bias_here = bias[parameter];" : ""}`;
  const perRow = `
      let token = qparams[min(row, uniforms.rows - 1u)];
      let shift = token.y + ${2 ** (spec.activationBits - 1)}.0 * token.x;`;
  const once = spec.bias ? "shift * reduced_here + bias_here" : "shift * reduced_here";
  const result = `vec4<f32>(${exactVector(spec)}) * (token.x * scale_here) + ${inFirstPart(once, portion)}`;
  const store = (results: string): string => storePortion(spec, portion, results);
  const epilogue = { from: "i32" as const, perColumns, perRow, result };
  const product = `${declarations}
${split ? "" : matrixResultFunctions(spec)}
${matrixPrologue(shape, tiling(shape, spec.rows, spec.columns), { parts: split?.parts, range })}
${declareSums(shape, "acc", "i32")}
${matrixPhase(shape, { ...phase, partBlocks: split?.partBlocks }, "acc")}`;
  if (spec.outliers === 0) {
    return `${product}
${drainSums(shape, "acc", epilogue, store)}
}`;
  }
  const keep = (results: string, place: string): string =>
    `tile[${place}] = bitcast<vec2<u32>>(${results}.xy); tile[${place} + 1u] = bitcast<vec2<u32>>(${results}.zw);`;
  return `${product}
${declareSums(shape, "sum", "f32")}
${drainSums(shape, "acc", epilogue, keep, (i) => reloadSums(shape, "sum", i))}
${split ? "if (part == 0u)" : ""} ${matrixPhase(shape, outlierPhase(spec, shape), "sum")}
${drainSums(shape, "sum", { from: "f32", result: "sums_here" }, store)}
}`;
}

function exactVector(spec: QuikLinearSpec): string {
  return exactSum(spec, "sums_here").replace(/>> (\d+)u/, ">> vec4<u32>($1u)");
}

/** From so many tokens on, matrix units are as fast as the decode kernel. */
const FEWEST_SPLIT_ROWS = 12;

/** The variant of one plan. */
export function quikLinearMatrix(plan: MatrixPlan): KernelVariant<QuikLinearSpec> {
  const { name, shape } = plan;
  const phaseOf = (spec: QuikLinearSpec): MatrixPhase => integerMatrixPhase(spec, shape).phase;
  return {
    name,
    supports: (spec, capabilities) =>
      storesMatrixResult(spec) && matrixFits(shape, componentsOf(spec), capabilities) &&
      bindingsOf(spec, phaseOf(spec), {}).length <= capabilities.limits.maxStorageBuffersPerShaderStage,
    suits: (spec) => plan.suits(spec, phaseOf(spec).blocks),
    generate: (spec) => {
      const phase = phaseOf(spec);
      return portionPasses(spec, plan.portions(spec, phase.blocks), 0, (portion) =>
        definePass({
          enables: matrixEnables(componentsOf(spec)),
          bindings: bindingsOf(spec, phase, portion),
          uniforms: { rows: spec.rows, columns: spec.columns },
          workgroups: linearWorkgroups(portionWorkgroups(shape, spec, portion)),
          body: body(spec, shape, portion),
        }));
    },
  };
}

/** Variants of `quik_linear` on subgroup matrices. */
export const quikLinearMatrixVariants: readonly KernelVariant<QuikLinearSpec>[] = [
  ...SPLIT_MATRIX_SHAPES.map((shape) => dividedPlan(shape, FEWEST_SPLIT_ROWS)),
  ...MATRIX_SHAPES.map(wholePlan),
].map(quikLinearMatrix);
