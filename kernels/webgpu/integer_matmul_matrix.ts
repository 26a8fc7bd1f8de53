// The exact integer product on subgroup matrices.
import type { IntegerMatmulSpec } from "../specs.ts";
import { exactSum } from "./_integer_phase.ts";
import { integerMatrixPhase } from "./_matrix_integer.ts";
import {
  MATRIX_SHAPES,
  matrixSuits,
  MIXED_MATRIX_SHAPES,
  type NamedMatrixShape,
  WHOLE_MATRIX_SHAPES,
} from "./_matrix_shapes.ts";
import { drainSums, matrixResultBinding, storeResults } from "./_matrix_epilogue.ts";
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
import {
  type Binding,
  type ComputePass,
  definePass,
  input,
  inTextOrder,
  type KernelVariant,
  linearWorkgroups,
} from "./program.ts";

function pass(spec: IntegerMatmulSpec, shape: MatrixShape): ComputePass {
  const tile = matrixTile(shape);
  const { declarations, phase } = integerMatrixPhase(spec, shape);
  const result = exactSum(spec, "sums_here").replace(/>> (\d+)u/, ">> vec4<u32>($1u)");
  const operand = (index: number, name: "left" | "right"): Binding => {
    const binding = input(index, name, `array<${phase[name].load}>`);
    return shape.ordered ? inTextOrder(binding) : binding;
  };
  return definePass({
    enables: matrixEnables(["i8"]),
    bindings: [
      operand(0, "left"),
      operand(1, "right"),
      matrixResultBinding(spec, "i32"),
    ],
    uniforms: { rows: spec.rows, columns: spec.columns },
    workgroups: linearWorkgroups(
      Math.ceil(spec.rows / tile.rows) * Math.ceil(spec.columns / tile.columns),
    ),
    body: `${declarations}
${matrixPrologue(shape, tiling(shape, spec.rows, spec.columns))}
${declareSums(shape, "acc", "i32")}
${matrixPhase(shape, phase, "acc")}
${drainSums(shape, "acc", { from: "i32", result }, (results) => storeResults(spec, results))}
}`,
  });
}

/** The variant of one tile shape, for codes of so many bits together. */
export function integerMatmulMatrix(
  [name, shape]: NamedMatrixShape,
  bits: 8 | 12 | 16,
): KernelVariant<IntegerMatmulSpec> {
  return {
    name,
    supports: ({ activationBits, weightBits }, capabilities) =>
      activationBits + weightBits === bits && matrixFits(shape, ["i8"], capabilities),
    suits: ({ rows, columns }) => matrixSuits(shape, rows, columns),
    generate: (spec) => ({ passes: [pass(spec, shape)] }),
  };
}

/** Variants of `integer_matmul` on subgroup matrices. */
export const integerMatmulMatrixVariants: readonly KernelVariant<IntegerMatmulSpec>[] = [
  ...MATRIX_SHAPES.map((shape) => integerMatmulMatrix(shape, 8)),
  ...MIXED_MATRIX_SHAPES.map((shape) => integerMatmulMatrix(shape, 12)),
  ...WHOLE_MATRIX_SHAPES.map((shape) => integerMatmulMatrix(shape, 16)),
];
