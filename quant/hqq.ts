// HQQ (half-quadratic quantization, mobiusml/hqq): no calibration; zero points that make the weight error sparse, found
// by alternating between shrinking the error and averaging the zero point.
import { decodeArray, encodeArray, float16, roundHalfEven } from "../formats/mod.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import type { Rounder } from "./recipe.ts";

/** How {@linkcode hqq} quantizes. */
export interface HqqOptions {
  /** Bits of a code, 1 to 8. */
  readonly bits: number;
  /** Weights that share scale and zero point. Default 64. */
  readonly groupSize?: number;
  /**
   * What a group is made of: inputs of one output, as kernels that scale inside the product want it (the authors' axis 1), or
   * outputs of one input (their axis 0, the default of their package). HQQ's zero points are not integers, so that no code
   * means 0: where a group mixes columns of different size, the small ones are off by up to half a step, which is far more than
   * what they are worth if their inputs are large. Groups of one column have no such mixture. Default `inputs`.
   */
  readonly groupAxis?: "inputs" | "outputs";
  /** Exponent p of the norm of the error, at most 1. Default 0.7. */
  readonly norm?: number;
  /** Strength of the coupling; the error is shrunk by about 1 / beta. Default 10. */
  readonly beta?: number;
  /** Factor on beta per iteration. Default 1.01. */
  readonly kappa?: number;
  /** Largest number of iterations. Default 20. */
  readonly iterations?: number;
  /** Whether the first zero point is an integer. Default: at 4 bits, as in the authors' configuration. */
  readonly roundZero?: boolean;
}

/** A matrix as codes with scale and float zero point per group: `weight = (code - zero) * scale`. */
export interface HqqResult {
  /** `[outputs, inputs]`. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** `[outputs, groups]`, or `[groups, inputs]` if groups are made of outputs; values of float16. */
  readonly scales: Float32Array<ArrayBuffer>;
  /** Like the scales; values of float16, not integers. */
  readonly zeros: Float32Array<ArrayBuffer>;
  /** Dequantized, `[outputs, inputs]`. */
  readonly weight: Matrix;
  /** Mean absolute weight error of each iteration, before rounding scales and zeros to float16; the best is kept. */
  readonly errors: readonly number[];
}

/** Weights that share a scale: every `step`-th from `start` to before `end`. */
interface Place {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** A group with the inverse of its scale. */
interface Group extends Place {
  readonly inverse: number;
}

const f = Math.fround;

function placesOf({ rows, cols }: Matrix, groupSize: number, axis: "inputs" | "outputs"): Place[] {
  const places: Place[] = [];
  if (axis === "inputs") {
    for (let row = 0; row < rows; row++) {
      for (let col = 0; col < cols; col += groupSize) {
        places.push({
          start: row * cols + col,
          end: row * cols + Math.min(col + groupSize, cols),
          step: 1,
        });
      }
    }
    return places;
  }
  // The authors reshape to [groupSize, rest], so that a group takes every count-th row, not neighbors.
  const count = Math.ceil(rows / groupSize);
  for (let start = 0; start < Math.min(count, rows) * cols; start++) {
    places.push({ start, end: rows * cols, step: count * cols });
  }
  return places;
}

function groupsOf(
  { data }: Matrix,
  places: readonly Place[],
  top: number,
): { groups: Group[]; minimums: number[] } {
  const groups: Group[] = [], minimums: number[] = [];
  for (const { start, end, step } of places) {
    let min = Infinity, max = -Infinity;
    for (let i = start; i < end; i += step) {
      min = Math.min(min, data[i]);
      max = Math.max(max, data[i]);
    }
    const width = f(max - min);
    if (!(width < Infinity)) throw new RangeError("Cannot quantize weights that are NaN or infinite");
    groups.push({ start, end, step, inverse: width <= 1e-4 ? 1 : Math.min(f(top / width), 2e4) });
    minimums.push(min);
  }
  return { groups, minimums };
}

/** sign(x) * max(|x| - |x|^(p - 1) / beta, 0): what minimizes |e|^p + beta / 2 (e - x)^2, nearly. */
function shrink(x: number, norm: number, beta: number): number {
  const magnitude = Math.abs(x);
  if (magnitude === 0) return 0;
  return Math.sign(x) * Math.max(0, magnitude - magnitude ** (norm - 1) / beta);
}

function codeOf(w: number, inverse: number, zero: number, top: number): number {
  return Math.min(top, Math.max(0, roundHalfEven(f(f(w * inverse) + zero))));
}

/**
 * Quantizes weights with HQQ. Needs no inputs.
 *
 * @param weight `[outputs, inputs]`.
 * @param options Bits, group size and solver.
 * @returns Codes, scales, zero points, dequantized weights and the history of the error.
 * @throws {RangeError} If bits or group size are out of range or a weight is not finite.
 *
 * @example Usage
 * ```ts
 * import { createMatrix, hqq } from "@quik/quant/quant";
 * import { assert } from "@std/assert";
 *
 * const { errors } = hqq(createMatrix(1, 6, Float32Array.of(-1, -0.2, 0.1, 0.3, 0.4, 8)), { bits: 2 });
 * assert(Math.min(...errors) <= errors[0]);
 * ```
 */
export function hqq(weight: Matrix, options: HqqOptions): HqqResult {
  const { bits, groupSize = 64, norm = 0.7, kappa = 1.01, iterations = 20 } = options;
  if (!Number.isInteger(bits) || bits < 1 || bits > 8 || !(groupSize >= 1)) {
    throw new RangeError(`Cannot quantize to ${bits} bits in groups of ${groupSize}`);
  }
  const { data, rows, cols } = weight, top = 2 ** bits - 1;
  const places = placesOf(weight, groupSize, options.groupAxis ?? "inputs");
  const { groups, minimums } = groupsOf(weight, places, top);
  const zeros = Float32Array.from(groups, ({ inverse }, g) => -minimums[g] * inverse);
  if (options.roundZero ?? bits === 4) zeros.forEach((zero, g) => zeros[g] = roundHalfEven(zero));

  const errors: number[] = [];
  let best = zeros.slice(), beta = options.beta ?? 10;
  // One evaluation more than there are updates, so that the last update is kept only if it helped.
  for (let iteration = 0; iteration <= iterations; iteration++) {
    let sum = 0;
    const next = new Float32Array(zeros.length);
    groups.forEach(({ start, end, step, inverse }, g) => {
      let mean = 0, count = 0;
      for (let i = start; i < end; i += step, count++) {
        const code = codeOf(data[i], inverse, zeros[g], top);
        const error = f(data[i] - f(f(code - zeros[g]) / inverse));
        sum += Math.abs(error);
        mean += code - (data[i] - shrink(error, norm, beta)) * inverse;
      }
      next[g] = mean / count;
    });
    errors.push(sum / data.length);
    if (iteration > 0 && !(errors[iteration] < errors[iteration - 1])) break;
    best = zeros.slice();
    zeros.set(next);
    beta *= kappa;
  }
  const store = (values: Float32Array): Float32Array<ArrayBuffer> =>
    decodeArray(float16, encodeArray(float16, values));
  const scales = store(Float32Array.from(groups, ({ inverse }) => 1 / inverse)), stored = store(best);
  const codes = new Uint8Array(data.length), dequantized = createMatrix(rows, cols);
  groups.forEach(({ start, end, step }, g) => {
    for (let i = start; i < end; i += step) {
      codes[i] = codeOf(data[i], f(1 / scales[g]), stored[g], top);
      dequantized.data[i] = (codes[i] - stored[g]) * scales[g];
    }
  });
  return { codes, scales, zeros: stored, weight: dequantized, errors };
}

/** HQQ as the rounding step of a recipe. Takes no outliers: every column is rounded. */
export function hqqRounder(options: HqqOptions): Rounder {
  return {
    name: `hqq uint${options.bits}`,
    bits: options.bits,
    round(weight, { outliers }) {
      const { weight: rounded, scales } = hqq(weight, options);
      restoreColumns(rounded, weight, outliers);
      return {
        weight: rounded,
        storedBits: weight.rows * (weight.cols - outliers.length) * options.bits + 32 * scales.length,
      };
    },
  };
}

function restoreColumns(target: Matrix, source: Matrix, columns: Uint32Array): void {
  for (let offset = 0; offset < source.data.length; offset += source.cols) {
    for (const c of columns) target.data[offset + c] = source.data[offset + c];
  }
}
