// Dense products with float16 weights on subgroup matrices, where x is float16 or may be rounded to it.
import { type DenseLinearSpec, float16RowBytes } from "../specs.ts";
import { storesMatrixResult } from "./_matrix_epilogue.ts";
import { float16Blocks, float16Product } from "./_matrix_float16.ts";
import { wholeRows } from "./_matrix_operands.ts";
import { dividedPlan, type MatrixPlan, tailPlan, wholePlan } from "./_matrix_plans.ts";
import { SPLIT_MATRIX_SHAPES, WHOLE_MATRIX_SHAPES } from "./_matrix_shapes.ts";
import { matrixFits } from "./_matrix_tile.ts";
import { input, type KernelVariant } from "./program.ts";

/** From so many tokens on, matrix units are faster than the decode kernel, which multiplies floats one by one. */
const FEWEST_SPLIT_ROWS = 8;

/** The variant of one plan. */
export function denseLinearMatrix(plan: MatrixPlan): KernelVariant<DenseLinearSpec> {
  const { name, shape } = plan;
  return {
    name,
    supports: (spec, capabilities) =>
      storesMatrixResult(spec) && spec.weightType === "float16" &&
      (spec.allowFloat16 === true || spec.inputType === "float16") &&
      spec.inner % 8 === 0 && spec.inner > 0 &&
      matrixFits(shape, ["f16"], capabilities),
    suits: (spec) => plan.suits(spec, float16Blocks(spec.inner)),
    generate: (spec) => {
      const right = {
        operand: (rows: string | undefined) =>
          wholeRows({ buffer: "right", rowBytes: float16RowBytes(spec.inner), rows }),
        bindings: [input(1, "right", "array<vec4<u32>>")],
      };
      return float16Product(spec, shape, right, plan.portions(spec, float16Blocks(spec.inner)));
    },
  };
}

/** Variants of `dense_linear` on subgroup matrices. */
export const denseLinearMatrixVariants: readonly KernelVariant<DenseLinearSpec>[] = [
  ...SPLIT_MATRIX_SHAPES.map((shape) => dividedPlan(shape, FEWEST_SPLIT_ROWS)),
  tailPlan(WHOLE_MATRIX_SHAPES[0]),
  ...WHOLE_MATRIX_SHAPES.map(wholePlan),
].map(denseLinearMatrix);
