// Folding the input side of a smoothing transform into what comes before a layer, so that nothing is left to compute.
import { createMatrix, type Matrix } from "./matrix.ts";

/** The elementwise affine end of a norm, or a linear layer, whose outputs feed the smoothed layer. */
export interface FoldOptions {
  /** What the following layer's inputs are divided by, `[features]`. */
  readonly scale: Float32Array;
  /** What is subtracted from them before, `[features]`. Default nothing; needs a bias to go into. */
  readonly shift?: Float32Array;
}

/** Gain and bias of a norm. */
export interface NormParameters {
  /** `[features]`. */
  readonly weight: Float32Array<ArrayBuffer>;
  /** `[features]`. */
  readonly bias?: Float32Array<ArrayBuffer>;
}

/** Weight and bias of a linear layer. */
export interface LinearParameters {
  /** `[features, inputs]`. */
  readonly weight: Matrix;
  /** `[features]`. */
  readonly bias?: Float32Array<ArrayBuffer>;
}

function foldBias(
  bias: Float32Array<ArrayBuffer> | undefined,
  { scale, shift }: FoldOptions,
): { bias?: Float32Array<ArrayBuffer> } {
  if (!bias && !shift) return {};
  return { bias: Float32Array.from(scale, (s, c) => ((bias?.[c] ?? 0) - (shift?.[c] ?? 0)) / s) };
}

function checkFeatures(features: number, { scale, shift }: FoldOptions): void {
  if (scale.length !== features || (shift && shift.length !== features)) {
    throw new RangeError(`Cannot fold ${scale.length} scales into ${features} features`);
  }
}

/**
 * Folds `(x - shift) / scale` into a norm: `weight / scale`, `(bias - shift) / scale`.
 *
 * @param norm Its parameters.
 * @param options The transform.
 * @returns New parameters. A shift adds a bias to a norm that had none.
 * @throws {RangeError} If the number of features differs.
 *
 * @example Usage
 * ```ts
 * import { foldIntoNorm } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const { weight } = foldIntoNorm({ weight: Float32Array.of(1, 8) }, { scale: Float32Array.of(1, 4) });
 * assertEquals(weight, Float32Array.of(1, 2));
 * ```
 */
export function foldIntoNorm(norm: NormParameters, options: FoldOptions): NormParameters {
  checkFeatures(norm.weight.length, options);
  return {
    weight: norm.weight.map((gain, c) => gain / options.scale[c]),
    ...foldBias(norm.bias, options),
  };
}

/**
 * Folds `(x - shift) / scale` into the linear layer whose outputs are `x`: its rows are divided. Exact only if nothing
 * but linear maps lies between the two layers.
 *
 * @param linear Its parameters.
 * @param options The transform.
 * @returns New parameters. A shift adds a bias to a layer that had none.
 * @throws {RangeError} If the number of features differs.
 */
export function foldIntoLinear(linear: LinearParameters, options: FoldOptions): LinearParameters {
  const { data, rows, cols } = linear.weight;
  checkFeatures(rows, options);
  return {
    weight: createMatrix(rows, cols, data.map((w, i) => w / options.scale[Math.floor(i / cols)])),
    ...foldBias(linear.bias, options),
  };
}
