// The exact integer product that integer_matmul and quik_linear share: its operands, strides and step counts.
import { type CodeBits, packedRowBytes } from "../specs.ts";
import { codeShift, codesOperand } from "./_operands.ts";
import { type RowPhase, unitVectors } from "./_rows.ts";
import { multiplyInt8, type TilePhase } from "./_tile.ts";

/** What the integer product of a spec needs to know. */
export interface IntegerShape {
  readonly inner: number;
  readonly activationBits: CodeBits;
  readonly weightBits: CodeBits;
}

/** The product without its step count, reading bindings `left` and `right`. */
export function integerPhase({ activationBits, weightBits }: IntegerShape): Omit<TilePhase, "steps"> {
  return {
    left: codesOperand({ buffer: "left", rows: "uniforms.rows" }, activationBits, weightBits),
    right: codesOperand({ buffer: "right", rows: "uniforms.columns" }, weightBits, activationBits),
    accumulator: "acc",
    accumulatorType: "i32",
    multiply: multiplyInt8,
  };
}

/** The product for a tiled shader; counts its steps in `uniforms.steps`. */
export function tiledIntegerPhase(shape: IntegerShape): TilePhase {
  return { ...integerPhase(shape), steps: "uniforms.steps" };
}

/** The product for few rows; counts its units in `uniforms.steps`. */
export function rowIntegerPhase(shape: IntegerShape): RowPhase {
  return { ...integerPhase(shape), units: "uniforms.steps" };
}

/** Uniform values of the product: strides in vectors of 16 bytes, and steps of `depth` vectors of sixteen int8. */
export function integerUniforms(
  { inner, activationBits, weightBits }: IntegerShape,
  depth: number,
): Record<string, number> {
  const left = packedRowBytes(inner, activationBits) / 16;
  const right = packedRowBytes(inner, weightBits) / 16;
  const vectors = Math.max(left * 8 / activationBits, right * 8 / weightBits);
  return { left_stride: left, right_stride: right, steps: Math.ceil(vectors / depth) };
}

/** Vectors of sixteen int8 in a unit of the product for few rows. */
export function integerUnitVectors(shape: IntegerShape): number {
  return unitVectors(integerPhase(shape));
}

/** WGSL expression for the true value of an accumulator. */
export function exactSum({ activationBits, weightBits }: IntegerShape, sum: string): string {
  const shift = codeShift(activationBits, weightBits);
  return shift === 0 ? sum : `(${sum} >> ${shift}u)`;
}
