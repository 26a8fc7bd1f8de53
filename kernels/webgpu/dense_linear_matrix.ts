// Dense products with float16 weights on subgroup matrices, where x is float16 or may be rounded to it.
import { type DenseLinearSpec, float16RowBytes } from "../specs.ts";
import { storesMatrixResult } from "./_matrix_epilogue.ts";
import { float16Product } from "./_matrix_float16.ts";
import { wholeRows } from "./_matrix_operands.ts";
import { matrixSuits, WHOLE_MATRIX_SHAPES } from "./_matrix_shapes.ts";
import { matrixFits, type MatrixShape } from "./_matrix_tile.ts";
import { input, type KernelVariant } from "./program.ts";

/** The variant of one tile shape. */
function denseLinearMatrix(name: string, shape: MatrixShape): KernelVariant<DenseLinearSpec> {
  return {
    name,
    supports: (spec, capabilities) =>
      storesMatrixResult(spec) && spec.weightType === "float16" &&
      (spec.allowFloat16 === true || spec.inputType === "float16") &&
      spec.inner % 8 === 0 && spec.inner > 0 &&
      matrixFits(shape, ["f16"], capabilities),
    suits: ({ rows, columns }) => matrixSuits(shape, rows, columns),
    generate: (spec) =>
      float16Product(spec, shape, {
        operand: (rows) => wholeRows({ buffer: "right", rowBytes: float16RowBytes(spec.inner), rows }),
        bindings: [input(1, "right", "array<vec4<u32>>")],
      }),
  };
}

/** Variants of `dense_linear` on subgroup matrices. */
export const denseLinearMatrixVariants: readonly KernelVariant<DenseLinearSpec>[] = WHOLE_MATRIX_SHAPES.map((
  [name, shape],
) => denseLinearMatrix(name, shape));
