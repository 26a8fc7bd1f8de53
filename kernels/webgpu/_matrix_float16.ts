// Products on float16 subgroup matrices, dense and weight-only: a first pass rounds x unless it is float16, the second
// multiplies and accumulates in float32.
import { float16RowBytes, type InputOptions, type ResultOptions } from "../specs.ts";
import { drainSums, matrixResultBinding, matrixResultFunctions } from "./_matrix_epilogue.ts";
import { wholeRows } from "./_matrix_operands.ts";
import { type MatrixOperand, matrixPhase } from "./_matrix_phase.ts";
import { declareSums, matrixEnables, matrixPrologue, type MatrixShape, tiling } from "./_matrix_tile.ts";
import {
  inFirstPart,
  partSums,
  type Portion,
  portionPasses,
  portionWorkgroups,
  storePortion,
} from "./_matrix_split.ts";
import { roundingPass } from "./_round_pass.ts";
import {
  type Binding,
  type ComputePass,
  definePass,
  input,
  inTextOrder,
  type KernelProgram,
  linearWorkgroups,
  scratch,
} from "./program.ts";

/** Values of a row in one block of a tile: 64 bytes of float16. */
export const FLOAT16_BLOCK = 32;

/** The shape of a product, where x comes from, and what becomes of the result. */
export interface Float16Product extends InputOptions, ResultOptions {
  readonly rows: number;
  readonly columns: number;
  /** A multiple of 8. */
  readonly inner: number;
  readonly bias: boolean;
}

/** The right operand. */
export interface Float16Right {
  /** How its rows are read, given the WGSL expression of `MatrixOperand.rows`. */
  readonly operand: (rows: string | undefined) => MatrixOperand;
  /** Its buffers, from input 1 on, the weight first; the bias follows them. */
  readonly bindings: readonly Binding[];
  /** Uniforms besides `rows` and `columns`. */
  readonly uniforms?: Readonly<Record<string, number>>;
  /** WGSL declarations. */
  readonly declarations?: string;
  /** Statements before the product. */
  readonly prologue?: string;
}

const LEFT = "array<vec4<u32>>";

/** Blocks of k. */
export const float16Blocks = (inner: number): number => Math.ceil(inner / FLOAT16_BLOCK);

/** Writes the program for one tile shape, a pass for each of the `portions`, of which one may be divided. */
export function float16Product(
  spec: Float16Product,
  shape: MatrixShape,
  right: Float16Right,
  portions: readonly Portion[] = [{}],
): KernelProgram {
  const rounds = spec.inputType !== "float16";
  const left = rounds ? scratch(0, "left", LEFT, "read") : input(0, "left", LEFT);
  const sumsAt = rounds ? 1 : 0;
  const { passes, scratch: sums } = portionPasses(
    spec,
    portions,
    sumsAt,
    (portion) => productPass(spec, shape, right, left, portion, sumsAt),
  );
  if (!rounds) return { passes, scratch: sums };
  return {
    passes: [roundingPass(spec), ...passes],
    scratch: [spec.rows * float16RowBytes(spec.inner), ...sums],
  };
}

function productPass(
  spec: Float16Product,
  shape: MatrixShape,
  right: Float16Right,
  left: Binding,
  portion: Portion,
  sumsAt: number,
): ComputePass {
  const { range, split } = portion;
  const { rows, columns, inner, bias } = spec;
  const tiles = tiling(shape, rows, columns);
  const phase = {
    component: "f16" as const,
    left: wholeRows({ buffer: "left", rowBytes: float16RowBytes(inner), rows: tiles.leftRows }),
    right: right.operand(tiles.rightRows),
    blocks: float16Blocks(inner),
    partBlocks: split?.partBlocks,
  };
  const epilogue = {
    from: "f32" as const,
    perColumns: bias
      ? `let bias_here = ${inFirstPart("bias[min(column, uniforms.columns - 1u) / 4u]", portion)};`
      : "",
    result: bias ? "sums_here + bias_here" : "sums_here",
  };
  const [weight, ...others] = right.bindings;
  const operands = [left, weight];
  return definePass({
    enables: matrixEnables(["f16"]),
    bindings: [
      ...(shape.ordered ? operands.map(inTextOrder) : operands),
      ...others,
      ...(bias ? [input(right.bindings.length + 1, "bias", "array<vec4<f32>>")] : []),
      split ? partSums(sumsAt, "write") : matrixResultBinding(spec, "f32"),
    ],
    uniforms: { rows, columns, ...right.uniforms },
    workgroups: linearWorkgroups(portionWorkgroups(shape, spec, portion)),
    body: `
${split ? "" : matrixResultFunctions(spec)}
${right.declarations ?? ""}
${matrixPrologue(shape, tiles, { parts: split?.parts, range })}
${right.prologue ?? ""}
${declareSums(shape, "sum", "f32")}
${matrixPhase(shape, phase, "sum")}
${drainSums(shape, "sum", epilogue, (results) => storePortion(spec, portion, results))}
}`,
  });
}
