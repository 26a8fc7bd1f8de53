// Rounding weights for inputs that will be rounded too. The codes of an activation carry an error of about a twelfth of
// their squared step; a weight meets it in every direction, also in those where the inputs themselves hardly vary. The
// weights that give the least expected output error are therefore slightly smaller there, as a Wiener filter is.
// Not part of the QUIK paper: there, GPTQ sees float activations only.
import { cholesky, choleskySolve } from "./cholesky.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { createMatrix64, type Matrix64 } from "./matrix64.ts";

/** Which codes the activations will have. */
export interface ActivationNoiseOptions {
  /** Bits of a code. */
  readonly bits: 4 | 8;
  /** Columns that are not rounded, ascending. */
  readonly outliers: Uint32Array;
}

/**
 * The mean squared rounding error of one activation under per-token asymmetric codes: `step^2 / 12`, averaged over tokens.
 *
 * @param inputs Sampled inputs, `[tokens, inputs]`.
 * @param options Bits and outlier columns.
 * @returns The variance of the error of a base column.
 */
export function activationNoise(inputs: Matrix, options: ActivationNoiseOptions): number {
  const { rows, cols, data } = inputs;
  const skipped = new Uint8Array(cols);
  for (const column of options.outliers) skipped[column] = 1;
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    let low = Infinity;
    let high = -Infinity;
    for (let column = 0; column < cols; column++) {
      if (skipped[column]) continue;
      low = Math.min(low, data[row * cols + column]);
      high = Math.max(high, data[row * cols + column]);
    }
    if (high > low) sum += ((high - low) / (2 ** options.bits - 1)) ** 2 / 12;
  }
  return rows > 0 ? sum / rows : 0;
}

/** What {@linkcode absorbActivationNoise} needs to know of a layer. */
export interface AbsorbNoiseOptions {
  /** `(2 / tokens) * x^T x` of the inputs, `[inputs, inputs]`. */
  readonly hessian: Matrix;
  /** Variance of the rounding error of a base column, from {@linkcode activationNoise}. */
  readonly noise: number;
  /** Columns without that error, ascending. */
  readonly outliers: Uint32Array;
}

/** A layer's weight and Hessian with the noise in them: rounding this weight under this Hessian is the noisy problem. */
export interface NoiseAwareLayer {
  /** `W H (H + N)^-1`, `[outputs, inputs]`. */
  readonly weight: Matrix;
  /** `H + N`, `[inputs, inputs]`. */
  readonly hessian: Matrix;
}

/** Keeps columns that never vary invertible, relative to the mean of the diagonal. */
const RIDGE = 1e-6;

/**
 * Rewrites `min (W' - W) H (W' - W)^T + W' N W'^T`, the expected output error with noise N on the base columns, as a problem
 * without noise: `min (W' - W*) (H + N) (W' - W*)^T` with `W* = W H (H + N)^-1`.
 *
 * @param weight `[outputs, inputs]`. Not changed.
 * @param options Hessian, noise, outlier columns.
 * @returns The weight and Hessian to round with.
 * @throws {RangeError} If shapes do not fit, or the Hessian is not finite and positive semidefinite.
 *
 * @example Usage
 * ```ts
 * import { absorbActivationNoise, createMatrix } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const { weight } = absorbActivationNoise(createMatrix(1, 2, Float32Array.of(1, 1)), {
 *   hessian: createMatrix(2, 2, Float32Array.of(6, 0, 0, 2)),
 *   noise: 1,
 *   outliers: new Uint32Array(0),
 * });
 * assertEquals([...weight.data].map((value) => value.toFixed(4)), ["0.7500", "0.5000"]);
 * ```
 */
export function absorbActivationNoise(weight: Matrix, options: AbsorbNoiseOptions): NoiseAwareLayer {
  const { hessian, noise, outliers } = options;
  const size = weight.cols;
  if (hessian.rows !== size || hessian.cols !== size) {
    throw new RangeError(
      `Cannot use a Hessian of shape [${hessian.rows}, ${hessian.cols}] for ${size} inputs`,
    );
  }
  const added = noiseDiagonal(hessian, noise, outliers);
  const noisy = createMatrix64(size, size, Float64Array.from(hessian.data));
  for (let i = 0; i < size; i++) noisy.data[i * size + i] += added[i];
  // W* = W - W N (H + N)^-1, solved as (H + N) D^T = N W^T.
  const correction = choleskySolve(cholesky(noisy), scaledTranspose(weight, added));
  const absorbed = createMatrix(weight.rows, size);
  for (let row = 0; row < weight.rows; row++) {
    for (let i = 0; i < size; i++) {
      absorbed.data[row * size + i] = weight.data[row * size + i] - correction.data[i * weight.rows + row];
    }
  }
  return { weight: absorbed, hessian: createMatrix(size, size, Float32Array.from(noisy.data)) };
}

/** The diagonal of N, in the units of the Hessian. */
function noiseDiagonal(hessian: Matrix, noise: number, outliers: Uint32Array): Float64Array<ArrayBuffer> {
  const size = hessian.cols;
  let trace = 0;
  for (let i = 0; i < size; i++) trace += hessian.data[i * size + i];
  const ridge = RIDGE * trace / size || RIDGE;
  const added = new Float64Array(size).fill(2 * noise + ridge);
  for (const column of outliers) added[column] = ridge;
  return added;
}

/** `diag(scales) * matrix^T`. */
function scaledTranspose(matrix: Matrix, scales: Float64Array<ArrayBuffer>): Matrix64 {
  const { rows, cols, data } = matrix;
  const result = createMatrix64(cols, rows);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < cols; i++) result.data[i * rows + row] = scales[i] * data[row * cols + i];
  }
  return result;
}
