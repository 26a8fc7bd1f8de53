// The randomized Hadamard rotation in O(n log n): spreads an outlier channel evenly over all channels.
import { checkFeatures } from "./_matrix_ops.ts";
import { hadamardMatrix } from "./hadamard_matrix.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { createRandom } from "./random.ts";
import type { Rotation } from "./rotation.ts";

/** Options of {@linkcode hadamard}. */
export interface HadamardOptions {
  /** Multiplies the features by random signs of this seed first, which makes the rotation a random one. Default: no signs. */
  readonly seed?: number;
  /** Rotates blocks of this many features each. Default: the largest divisor of the size with a Hadamard matrix. */
  readonly blockSize?: number;
}

/** A rotation `R = D H / sqrt(blockSize)`: `D` random signs, `H` block-diagonal of Hadamard matrices. */
export interface HadamardRotation extends Rotation {
  /** Features that are mixed with each other; equal to `size` when one Hadamard matrix covers all of them. */
  readonly blockSize: number;
  /** Size of the explicit Hadamard matrix, see `hadamardMatrix`; the rest of a block is a power of two. */
  readonly order: number;
  /** 1 or -1 by which each feature is multiplied first, `[size]`; absent for none. */
  readonly signs?: Float32Array<ArrayBuffer>;
}

/** A block of `order * powerOfTwo` features, mixed by `H_order (x) H_powerOfTwo`. */
interface Factors {
  readonly order: number;
  readonly powerOfTwo: number;
  readonly matrix: Int8Array;
}

/**
 * A Hadamard rotation of any number of features (QuaRot, arXiv 2404.00456). Power-of-two parts run as fast
 * Walsh-Hadamard transforms; the remaining factor (12, 28, 172, ...) is multiplied explicitly. A size that no construction
 * covers is rotated in blocks of its largest divisor that one does.
 *
 * @param size Number of features.
 * @param options Random signs and block size.
 * @returns The rotation; orthogonal, its own inverse only for powers of two without signs.
 * @throws {RangeError} If `blockSize` does not divide the size or has no Hadamard matrix.
 *
 * @example Usage
 * ```ts
 * import { createMatrix, hadamard } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * // One channel of 8 becomes four of 4: the range to quantize halves.
 * const rotated = hadamard(4).apply(createMatrix(1, 4, Float32Array.of(8, 0, 0, 0)));
 * assertEquals(rotated.data, Float32Array.of(4, 4, 4, 4));
 * ```
 */
export function hadamard(size: number, options: HadamardOptions = {}): HadamardRotation {
  const blockSize = options.blockSize ?? largestHadamardDivisor(size);
  const factors = size % blockSize === 0 ? factorsOf(blockSize) : undefined;
  if (factors === undefined) {
    throw new RangeError(
      `Cannot rotate ${size} features in Hadamard blocks of ${blockSize}: it must divide the size and have a known matrix`,
    );
  }
  const signs = randomSigns(size, options.seed);
  const scale = 1 / Math.sqrt(blockSize);
  return {
    size,
    blockSize,
    order: factors.order,
    ...(options.seed === undefined ? {} : { signs: new Float32Array(signs) }),
    apply: (matrix) =>
      mapRows(matrix, size, (row) => {
        for (let j = 0; j < size; j++) row[j] *= signs[j] * scale;
        transformBlocks(row, factors, false);
      }),
    applyInverse: (matrix) =>
      mapRows(matrix, size, (row) => {
        transformBlocks(row, factors, true);
        for (let j = 0; j < size; j++) row[j] *= signs[j] * scale;
      }),
  };
}

/** Splits an order into an explicit Hadamard matrix, as small as possible, and a power of two. */
function factorsOf(order: number): Factors | undefined {
  let odd = order;
  while (odd % 2 === 0) odd /= 2;
  for (let explicit = odd === 1 ? 1 : odd * 4; explicit <= order; explicit *= 2) {
    const matrix = hadamardMatrix(explicit);
    if (matrix) return { order: explicit, powerOfTwo: order / explicit, matrix };
  }
  return undefined;
}

function largestHadamardDivisor(size: number): number {
  if (!Number.isInteger(size) || size < 1) {
    throw new RangeError(`Cannot rotate ${size} features: the size must be a positive integer`);
  }
  for (let count = 1; count < size; count++) {
    if (size % count === 0 && factorsOf(size / count)) return size / count;
  }
  return 1;
}

function randomSigns(size: number, seed: number | undefined): Float64Array {
  if (seed === undefined) return new Float64Array(size).fill(1);
  const { sign } = createRandom(seed);
  return Float64Array.from({ length: size }, sign);
}

/** A copy of the matrix with each row changed in float64. */
function mapRows(matrix: Matrix, size: number, change: (row: Float64Array) => void): Matrix {
  checkFeatures(matrix, size);
  const result = createMatrix(matrix.rows, size);
  const row = new Float64Array(size);
  for (let start = 0; start < matrix.data.length; start += size) {
    row.set(matrix.data.subarray(start, start + size));
    change(row);
    result.data.set(row, start);
  }
  return result;
}

/** `row <- row * H` block by block, or `row * H^T`. */
function transformBlocks(row: Float64Array, factors: Factors, transposed: boolean): void {
  const blockSize = factors.order * factors.powerOfTwo;
  for (let start = 0; start < row.length; start += blockSize) {
    const block = row.subarray(start, start + blockSize);
    for (let part = 0; part < blockSize; part += factors.powerOfTwo) {
      walshHadamard(block.subarray(part, part + factors.powerOfTwo));
    }
    if (factors.order > 1) mixParts(block, factors, transposed);
  }
}

/**
 * The fast Walsh-Hadamard transform in place, unscaled, in natural (Sylvester) order.
 *
 * @param values A power of two of them.
 */
export function walshHadamard(values: Float64Array): void {
  const { length } = values;
  for (let half = 1; half < length; half *= 2) {
    for (let start = 0; start < length; start += 2 * half) {
      for (let i = start, j = start + half; i < start + half; i++, j++) {
        const a = values[i];
        const b = values[j];
        values[i] = a + b;
        values[j] = a - b;
      }
    }
  }
}

/** Multiplies the block, seen as `[order, powerOfTwo]`, by the explicit matrix along its first axis. */
function mixParts(block: Float64Array, { order, powerOfTwo, matrix }: Factors, transposed: boolean): void {
  const source = block.slice();
  block.fill(0);
  for (let to = 0; to < order; to++) {
    const target = to * powerOfTwo;
    for (let from = 0; from < order; from++) {
      const part = from * powerOfTwo;
      if ((transposed ? matrix[to * order + from] : matrix[from * order + to]) > 0) {
        for (let i = 0; i < powerOfTwo; i++) block[target + i] += source[part + i];
      } else {
        for (let i = 0; i < powerOfTwo; i++) block[target + i] -= source[part + i];
      }
    }
  }
}
