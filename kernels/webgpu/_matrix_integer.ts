// The exact integer product on subgroup matrices, which integer_matmul and quik_linear share.
import { type CodeBits, packedRowBytes } from "../specs.ts";
import { codeFunctions, codeRows } from "./_matrix_operands.ts";
import type { MatrixOperand, MatrixPhase } from "./_matrix_phase.ts";
import { type MatrixShape, tiling } from "./_matrix_tile.ts";

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

/** The product of bindings `left` and `right`, in `short` blocks of 64 codes or as long ones as can be. */
export function integerMatrixPhase(spec: IntegerProduct, shape: MatrixShape, short = false): DeclaredPhase {
  const { inner, activationBits, weightBits } = spec;
  const { leftRows, rightRows } = tiling(shape, spec.rows, spec.columns);
  const operand = (
    buffer: string,
    rows: string | undefined,
    bits: CodeBits,
    otherBits: CodeBits,
  ): MatrixOperand =>
    codeRows({ buffer, rowBytes: packedRowBytes(inner, bits), rows }, bits, otherBits, short);
  const left = operand("left", leftRows, activationBits, weightBits);
  const right = operand("right", rightRows, weightBits, activationBits);
  return {
    declarations: codeFunctions(activationBits, weightBits),
    phase: { component: "i8", left, right, blocks: Math.ceil(inner / (32 * left.slabs)) },
  };
}
