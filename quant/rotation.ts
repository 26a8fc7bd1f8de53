// Rotations of features: what QuaRot and SpinQuant apply to inputs and weights before rounding them.
import { createMatrix, type Matrix } from "./matrix.ts";
import { checkFeatures, transpose } from "./_matrix_ops.ts";
import {
  type Matrix64,
  multiply64,
  multiplyTransposed64,
  toMatrix,
  toMatrix64,
  transpose64,
} from "./matrix64.ts";

/**
 * An orthogonal matrix `R` acting on rows from the right. `(x R) (w R)^T = x w^T`, so a layer whose inputs and weight are
 * rotated by the same `R` computes what it did before.
 */
export interface Rotation {
  /** Number of features. */
  readonly size: number;
  /** `matrix * R`, computed in float64. */
  apply(matrix: Matrix): Matrix;
  /** `matrix * R^T`, which undoes `apply`. */
  applyInverse(matrix: Matrix): Matrix;
}

/**
 * The rotation of an explicit orthogonal matrix, such as a learned one.
 *
 * @param matrix `[size, size]` with orthonormal rows; not copied, not checked.
 * @returns The rotation.
 * @throws {RangeError} If the matrix is not square.
 */
export function denseRotation(matrix: Matrix64): Rotation {
  if (matrix.rows !== matrix.cols) {
    throw new RangeError(`Cannot rotate by a [${matrix.rows}, ${matrix.cols}] matrix: it must be square`);
  }
  return {
    size: matrix.rows,
    apply: (x) => toMatrix(multiply64(toMatrix64(x), matrix)),
    applyInverse: (x) => toMatrix(multiplyTransposed64(toMatrix64(x), matrix)),
  };
}

/**
 * The same small rotation on each of several consecutive blocks of features, as on the heads of attention.
 *
 * @param rotation The rotation of one block.
 * @param count Number of blocks.
 * @returns A rotation of `count * rotation.size` features.
 */
export function blockRotation(rotation: Rotation, count: number): Rotation {
  const size = rotation.size * count;
  const asBlocks = (x: Matrix): Matrix => {
    checkFeatures(x, size);
    return createMatrix(x.rows * count, rotation.size, x.data);
  };
  return {
    size,
    apply: (x) => createMatrix(x.rows, size, rotation.apply(asBlocks(x)).data),
    applyInverse: (x) => createMatrix(x.rows, size, rotation.applyInverse(asBlocks(x)).data),
  };
}

/**
 * A block-diagonal rotation with a different matrix on each block, such as a learned one.
 *
 * @param matrix `[size, size]` with orthonormal rows, zero outside its diagonal blocks; not copied, not checked.
 * @param blockSize Features per block; the last block may be smaller.
 * @returns The rotation, at the cost of the blocks alone.
 * @throws {RangeError} If the matrix is not square.
 */
export function blockDiagonalRotation(matrix: Matrix64, blockSize: number): Rotation {
  // One block is a dense rotation, which also checks the shape.
  if (blockSize >= matrix.rows || matrix.rows !== matrix.cols) return denseRotation(matrix);
  const transposed = transpose64(matrix);
  return {
    size: matrix.rows,
    apply: (x) => multiplyBlocks(x, transposed, blockSize),
    applyInverse: (x) => multiplyBlocks(x, matrix, blockSize),
  };
}

/** `x * transposed^T`, block by block. */
function multiplyBlocks(x: Matrix, transposed: Matrix64, blockSize: number): Matrix {
  const size = transposed.rows;
  checkFeatures(x, size);
  const result = createMatrix(x.rows, size);
  for (let start = 0; start < size; start += blockSize) {
    const end = Math.min(start + blockSize, size);
    for (let row = 0; row < x.data.length; row += size) {
      for (let to = start; to < end; to++) {
        let sum = 0;
        for (let from = start; from < end; from++) {
          sum += x.data[row + from] * transposed.data[to * size + from];
        }
        result.data[row + to] = sum;
      }
    }
  }
  return result;
}

/** The rotation that applies `first`, then `second`.
 * @throws {RangeError} If their sizes differ. */
export function composeRotations(first: Rotation, second: Rotation): Rotation {
  if (first.size !== second.size) {
    throw new RangeError(`Cannot compose rotations of ${first.size} and ${second.size} features`);
  }
  return {
    size: first.size,
    apply: (x) => second.apply(first.apply(x)),
    applyInverse: (x) => first.applyInverse(second.applyInverse(x)),
  };
}

/** The rotation that undoes another. */
export function inverseRotation(rotation: Rotation): Rotation {
  const { size, apply, applyInverse } = rotation;
  return { size, apply: applyInverse, applyInverse: apply };
}

/**
 * Rotates the outputs of a linear layer: its result `x w^T` becomes `x w^T R`.
 *
 * @param weight `[outputs, inputs]`.
 * @param rotation A rotation of the outputs.
 * @returns `R^T * weight`.
 */
export function rotateOutputs(weight: Matrix, rotation: Rotation): Matrix {
  return transpose(rotation.apply(transpose(weight)));
}
