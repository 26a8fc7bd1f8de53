// Equivalent transforms: change a layer's inputs and weights together so that its output stays, and rounding hurts
// less. Every method that smooths, shifts, permutes or rotates before it rounds speaks this type.
import { hessianOf } from "./hessian.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { transpose } from "./_matrix_ops.ts";
import type { LayerCalibration, LinearLayer } from "./method.ts";
import type { Rotation } from "./rotation.ts";

/** A pair of maps with `applyX(x) * applyW(w)^T + offset(w) = x * w^T`. A user's own transform is one object of this shape. */
export interface Transform {
  /** Such as `smooth` or `hadamard`. */
  readonly name: string;
  /** Bits that have to be stored to apply it to inputs; 0 where it needs none or folds into the previous layer. */
  readonly storedBits: number;
  /** Transforms inputs `[tokens, inputs]`. */
  applyX(x: Matrix): Matrix;
  /** Transforms weights `[outputs, inputs]`. */
  applyW(weight: Matrix): Matrix;
  /**
   * What `max |x_j|` or `mean |x_j|` of each column becomes, where that follows from the old value alone (scaling,
   * permutation). Absent otherwise: statistics are then measured on sampled inputs.
   */
  applyMagnitude?(statistic: Float32Array): Float32Array<ArrayBuffer>;
  /** What to add to the bias, from the weights before the transform; only if inputs are shifted. */
  offset?(weight: Matrix): Float32Array<ArrayBuffer>;
}

/** Chooses a transform for a layer. */
export interface TransformFinder {
  /** Such as `smoothquant`. */
  readonly name: string;
  /** Must not change its arguments. */
  find(layer: LinearLayer, calibration: LayerCalibration): Transform;
}

function mapColumns(
  { data, rows, cols }: Matrix,
  f: (value: number, column: number) => number,
): Matrix {
  const result = createMatrix(rows, cols);
  for (let r = 0, i = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++, i++) result.data[i] = f(data[i], c);
  }
  return result;
}

/**
 * Divides each input column by a scale and multiplies the weight's column by it: smoothing.
 *
 * @param scale Positive, `[inputs]`.
 * @param name Name of the transform. Default `scale`.
 * @returns The transform.
 * @throws {RangeError} If a scale is not positive and finite.
 *
 * @example Usage
 * ```ts
 * import { createMatrix, scaleTransform } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const smooth = scaleTransform(Float32Array.of(1, 4));
 * assertEquals(smooth.applyX(createMatrix(1, 2, Float32Array.of(1, 8))).data, Float32Array.of(1, 2));
 * assertEquals(smooth.applyW(createMatrix(1, 2, Float32Array.of(3, 1))).data, Float32Array.of(3, 4));
 * ```
 */
export function scaleTransform(scale: Float32Array, name = "scale"): Transform {
  const factors = Float32Array.from(scale);
  const bad = factors.findIndex((s) => !(s > 0 && s < Infinity));
  if (bad >= 0) {
    throw new RangeError(`Cannot scale column ${bad} by ${factors[bad]}: scales must be positive and finite`);
  }
  return {
    name,
    storedBits: 16 * factors.length,
    applyX: (x) => mapColumns(checked(x, factors.length), (value, c) => value / factors[c]),
    applyW: (weight) => mapColumns(checked(weight, factors.length), (value, c) => value * factors[c]),
    applyMagnitude: (statistic) => Float32Array.from(statistic, (value, c) => value / factors[c]),
  };
}

/**
 * Subtracts a constant from each input column; the bias takes up what the weights make of it.
 *
 * @param shift `[inputs]`.
 * @returns The transform.
 */
export function shiftTransform(shift: Float32Array): Transform {
  const delta = Float32Array.from(shift);
  return {
    name: "shift",
    storedBits: 16 * delta.length,
    applyX: (x) => mapColumns(checked(x, delta.length), (value, c) => value - delta[c]),
    applyW: (weight) => checked(weight, delta.length),
    offset({ data, rows, cols }) {
      const result = new Float32Array(rows);
      for (let r = 0; r < rows; r++) {
        let sum = 0;
        for (let c = 0; c < cols; c++) sum += data[r * cols + c] * delta[c];
        result[r] = sum;
      }
      return result;
    },
  };
}

/**
 * Reorders input columns and the weight's columns alike: column j becomes old column `order[j]`.
 *
 * @param order A permutation of the columns.
 * @returns The transform.
 * @throws {RangeError} If it is not a permutation.
 */
export function permuteTransform(order: Uint32Array): Transform {
  const columns = Uint32Array.from(order);
  if (new Set(columns).size !== columns.length || columns.some((c) => c >= columns.length)) {
    throw new RangeError(`Cannot permute by these ${columns.length} indices: each must occur once`);
  }
  const apply = ({ data, rows, cols }: Matrix): Matrix => {
    const result = createMatrix(rows, cols);
    for (let r = 0; r < rows * cols; r += cols) {
      for (let c = 0; c < cols; c++) result.data[r + c] = data[r + columns[c]];
    }
    return result;
  };
  return {
    name: "permute",
    storedBits: 32 * columns.length,
    applyX: (x) => apply(checked(x, columns.length)),
    applyW: (weight) => apply(checked(weight, columns.length)),
    applyMagnitude: (statistic) => Float32Array.from(columns, (c) => statistic[c]),
  };
}

/**
 * A rotation as a transform.
 *
 * @param rotation Orthogonal, acting on the input features.
 * @param name Name of the transform. Default `rotate`.
 * @returns The transform. Counted as free to store: a Hadamard rotation has no parameters but its signs.
 */
export function rotationTransform(rotation: Rotation, name = "rotate"): Transform {
  return {
    name,
    storedBits: 0,
    applyX: (x) => rotation.apply(x),
    applyW: (weight) => rotation.apply(weight),
  };
}

/**
 * Several transforms as one, applied from first to last.
 *
 * @param transforms In order; none makes the identity.
 * @returns The transform.
 */
export function composeTransforms(transforms: readonly Transform[]): Transform {
  const exact = transforms.every((transform) => transform.applyMagnitude);
  return {
    name: transforms.map(({ name }) => name).join("+") || "identity",
    storedBits: transforms.reduce((sum, { storedBits }) => sum + storedBits, 0),
    applyX: (x) => transforms.reduce((value, transform) => transform.applyX(value), x),
    applyW: (weight) => transforms.reduce((value, transform) => transform.applyW(value), weight),
    ...(exact
      ? {
        applyMagnitude: (statistic: Float32Array) =>
          transforms.reduce(
            (value, transform) => transform.applyMagnitude!(value),
            Float32Array.from(statistic),
          ),
      }
      : {}),
    ...(transforms.some((transform) => transform.offset)
      ? { offset: (weight: Matrix) => composedOffset(transforms, weight) }
      : {}),
  };
}

function composedOffset(transforms: readonly Transform[], weight: Matrix): Float32Array<ArrayBuffer> {
  const sum = new Float32Array(weight.rows);
  let current = weight;
  for (const transform of transforms) {
    transform.offset?.(current).forEach((value, r) => sum[r] += value);
    current = transform.applyW(current);
  }
  return sum;
}

/**
 * What calibration would have learned of the transformed inputs. The Hessian follows exactly from the old one unless
 * inputs are shifted; maxima and means follow exactly from scalings and permutations. What does not is measured on the
 * sampled inputs.
 *
 * @param calibration Of the inputs before the transform.
 * @param transform The transform.
 * @returns The calibration of the transformed inputs.
 * @throws {RangeError} If something must be measured and no inputs were sampled.
 */
export function transformCalibration(calibration: LayerCalibration, transform: Transform): LayerCalibration {
  const { absmax, meanAbs, hessian, tokens } = calibration;
  const measured = !transform.applyMagnitude || transform.offset;
  if (measured && calibration.inputs.rows === 0) {
    throw new RangeError(`Cannot calibrate behind the transform ${transform.name} without sampled inputs`);
  }
  const inputs = transform.applyX(calibration.inputs);
  return {
    absmax: transform.applyMagnitude?.(absmax) ?? columnStatistic(inputs, Math.max),
    meanAbs: transform.applyMagnitude?.(meanAbs) ??
      columnStatistic(inputs, (sum, value) => sum + value / inputs.rows),
    hessian: transform.offset && hessian.rows > 0 ? hessianOf(inputs) : transformHessian(hessian, transform),
    inputs,
    tokens,
  };
}

/** With inputs `x * A` the Hessian `H` becomes `A^T H A`; rows of H pass through `applyX` like inputs. */
function transformHessian(hessian: Matrix, transform: Transform): Matrix {
  if (hessian.rows === 0) return hessian;
  return transform.applyX(transpose(transform.applyX(hessian)));
}

function columnStatistic(
  { data, cols }: Matrix,
  combine: (statistic: number, magnitude: number) => number,
): Float32Array<ArrayBuffer> {
  const result = new Float32Array(cols);
  data.forEach((value, i) => result[i % cols] = combine(result[i % cols], Math.abs(value)));
  return result;
}

function checked(matrix: Matrix, columns: number): Matrix {
  if (matrix.cols !== columns) {
    throw new RangeError(`Cannot transform ${matrix.cols} columns: the transform is for ${columns}`);
  }
  return matrix;
}
