// Dense products with float16 weights on subgroup matrices, for specs that allow x to be rounded to float16: a first pass
// rounds x, the second multiplies and accumulates in float32.
import { type DenseLinearSpec, float16RowBytes } from "../specs.ts";
import { roundingPass } from "./_round_pass.ts";
import { wholeRows } from "./_matrix_operands.ts";
import { matrixSuits, WHOLE_MATRIX_SHAPES } from "./_matrix_shapes.ts";
import { drainSums, resultType, storeResults } from "./_matrix_epilogue.ts";
import { matrixPhase } from "./_matrix_phase.ts";
import {
  declareSums,
  matrixEnables,
  matrixFits,
  matrixPrologue,
  type MatrixShape,
  matrixTile,
  tiling,
} from "./_matrix_tile.ts";
import { isPlainResult } from "./_result.ts";
import {
  type ComputePass,
  definePass,
  input,
  type KernelVariant,
  linearWorkgroups,
  output,
  scratch,
} from "./program.ts";

function productPass(spec: DenseLinearSpec, shape: MatrixShape): ComputePass {
  const tile = matrixTile(shape);
  const { rows, columns, inner, bias } = spec;
  const tiles = tiling(shape, rows, columns);
  const rowBytes = float16RowBytes(inner);
  const phase = {
    component: "f16" as const,
    left: wholeRows({ buffer: "left", rowBytes, rows: tiles.leftRows }),
    right: wholeRows({ buffer: "right", rowBytes, rows: tiles.rightRows }),
    blocks: Math.ceil(rowBytes / 64),
  };
  const epilogue = {
    from: "f32" as const,
    perColumns: bias ? "let bias_here = bias[min(column, uniforms.columns - 1u) / 4u];" : "",
    result: bias ? "sums_here + bias_here" : "sums_here",
  };
  return definePass({
    enables: matrixEnables(["f16"]),
    bindings: [
      scratch(0, "left", "array<vec4<u32>>", "read"),
      input(1, "right", "array<vec4<u32>>"),
      ...(bias ? [input(2, "bias", "array<vec4<f32>>")] : []),
      output(0, "y", resultType(columns, "f32")),
    ],
    uniforms: { rows, columns },
    workgroups: linearWorkgroups(Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns)),
    body: `
${matrixPrologue(shape, tiles)}
${declareSums(shape, "sum", "f32")}
${matrixPhase(shape, phase, "sum")}
${drainSums(shape, "sum", epilogue, (results) => storeResults(columns, results))}
}`,
  });
}

/** The variant of one tile shape. */
export function denseLinearMatrix(name: string, shape: MatrixShape): KernelVariant<DenseLinearSpec> {
  return {
    name,
    supports: (spec, capabilities) =>
      isPlainResult(spec) && spec.weightType === "float16" && spec.allowFloat16 === true &&
      spec.inner % 8 === 0 && spec.inner > 0 &&
      matrixFits(shape, ["f16"], capabilities),
    suits: ({ rows, columns }) => matrixSuits(shape, rows, columns),
    generate: (spec) => ({
      passes: [roundingPass(spec), productPass(spec, shape)],
      scratch: [spec.rows * float16RowBytes(spec.inner)],
    }),
  };
}

/** Variants of `dense_linear` on subgroup matrices. */
export const denseLinearMatrixVariants: readonly KernelVariant<DenseLinearSpec>[] = WHOLE_MATRIX_SHAPES.map((
  [name, shape],
) => denseLinearMatrix(name, shape));
