// Products on float16 subgroup matrices, dense and weight-only: a first pass rounds x unless it is float16, the second
// multiplies and accumulates in float32.
import { float16RowBytes, type InputOptions, type ResultOptions } from "../specs.ts";
import { drainSums, matrixResultBinding, matrixResultFunctions, storeResults } from "./_matrix_epilogue.ts";
import { wholeRows } from "./_matrix_operands.ts";
import { type MatrixOperand, matrixPhase } from "./_matrix_phase.ts";
import {
  declareSums,
  matrixEnables,
  matrixPrologue,
  type MatrixShape,
  matrixTile,
  tiling,
} from "./_matrix_tile.ts";
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

/** Writes the program for one tile shape. */
export function float16Product(spec: Float16Product, shape: MatrixShape, right: Float16Right): KernelProgram {
  if (spec.inputType === "float16") {
    return { passes: [productPass(spec, shape, right, input(0, "left", LEFT))] };
  }
  return {
    passes: [roundingPass(spec), productPass(spec, shape, right, scratch(0, "left", LEFT, "read"))],
    scratch: [spec.rows * float16RowBytes(spec.inner)],
  };
}

function productPass(
  spec: Float16Product,
  shape: MatrixShape,
  right: Float16Right,
  left: Binding,
): ComputePass {
  const { rows, columns, inner, bias } = spec;
  const tile = matrixTile(shape);
  const tiles = tiling(shape, rows, columns);
  const phase = {
    component: "f16" as const,
    left: wholeRows({ buffer: "left", rowBytes: float16RowBytes(inner), rows: tiles.leftRows }),
    right: right.operand(tiles.rightRows),
    blocks: Math.ceil(inner / FLOAT16_BLOCK),
  };
  const epilogue = {
    from: "f32" as const,
    perColumns: bias ? "let bias_here = bias[min(column, uniforms.columns - 1u) / 4u];" : "",
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
      matrixResultBinding(spec, "f32"),
    ],
    uniforms: { rows, columns, ...right.uniforms },
    workgroups: linearWorkgroups(Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns)),
    body: `
${matrixResultFunctions(spec)}
${right.declarations ?? ""}
${matrixPrologue(shape, tiles)}
${right.prologue ?? ""}
${declareSums(shape, "sum", "f32")}
${matrixPhase(shape, phase, "sum")}
${drainSums(shape, "sum", epilogue, (results) => storeResults(spec, results))}
}`,
  });
}
