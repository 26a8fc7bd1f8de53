// The exact integer product on subgroup matrices, which integer_matmul and quik_linear share.
import { type CodeBits, packedRowBytes } from "../specs.ts";
import { codesExpansion } from "./_operands.ts";
import { matrixOperand, type MatrixPhase, type MatrixShape, tiling } from "./_matrix_tile.ts";

/** What the product needs to know of a spec. */
export interface IntegerProduct {
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly activationBits: CodeBits;
  readonly weightBits: CodeBits;
}

/** A phase with the functions that its expressions call. */
export interface DeclaredPhase {
  readonly declarations: string;
  readonly phase: MatrixPhase;
}

/** The product of bindings `left` and `right`. */
export function integerMatrixPhase(spec: IntegerProduct, shape: MatrixShape): DeclaredPhase {
  const { leftRows, rightRows } = tiling(shape, spec.rows, spec.columns);
  const left = codesExpansion(spec.activationBits, spec.weightBits);
  const right = codesExpansion(spec.weightBits, spec.activationBits);
  const units = (bits: CodeBits): number => packedRowBytes(spec.inner, bits) / 16;
  return {
    declarations: [...new Set([left.functions, right.functions])].join("\n"),
    phase: {
      component: "i8",
      left: matrixOperand("left", units(spec.activationBits), leftRows, shape, left.expand),
      right: matrixOperand("right", units(spec.weightBits), rightRows, shape, right.expand),
      steps: Math.ceil(spec.inner / shape.stepBytes),
    },
  };
}
