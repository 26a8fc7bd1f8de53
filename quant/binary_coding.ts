// Binary coding: a weight is `offset + sum of +-alpha_i`, the format that lookup-table kernels multiply bit plane by bit
// plane (LUT-GEMM; GPTQT, arXiv 2407.02891).
import { decodeArray, encodeArray, float16 } from "../formats/mod.ts";
import { assignLevels, type Assignment } from "./_assign_levels.ts";
import { cholesky, choleskySolve } from "./cholesky.ts";
import type { FittedGrid, Grid } from "./grid.ts";
import { integerGrid } from "./integer_grid.ts";
import { levelGrid } from "./level_grid.ts";
import { createMatrix64 } from "./matrix64.ts";
import { type SortedRuns, sortedRuns } from "./_sorted_runs.ts";

/** A code of k bits: the value of code c is `offset + sum over i of (bit i of c ? alpha[i] : -alpha[i])`. */
export interface BinaryCoding {
  /** `[k]`. */
  readonly alpha: Float64Array<ArrayBuffer>;
  /** Middle of the code. */
  readonly offset: number;
}

/** How {@linkcode fitBinaryCoding} starts and ends. */
export interface BinaryCodingOptions {
  /** How much each value counts; equal when left out. */
  readonly weights?: ArrayLike<number>;
  /** Rounds of assigning and refitting. Default 15. */
  readonly iterations?: number;
  /**
   * Where to start: `greedy` takes the mean residual plane by plane, `uniform` rounds to k-bit integers, `best` takes the
   * better end of both. Default `best`.
   */
  readonly init?: "greedy" | "uniform" | "best";
}

/**
 * The values of all codes.
 *
 * @param coding The code.
 * @returns `[2^k]`.
 */
export function binaryLevels({ alpha, offset }: BinaryCoding): Float64Array<ArrayBuffer> {
  const levels = new Float64Array(2 ** alpha.length).fill(offset);
  for (let code = 0; code < levels.length; code++) {
    for (let i = 0; i < alpha.length; i++) levels[code] += code >> i & 1 ? alpha[i] : -alpha[i];
  }
  return levels;
}

function greedyCoding(values: ArrayLike<number>, k: number): BinaryCoding {
  const n = values.length, offset = Array.from(values).reduce((sum, v) => sum + v, 0) / n;
  const rest = Float64Array.from(values, (v) => v - offset), alpha = new Float64Array(k);
  for (let i = 0; i < k; i++) {
    alpha[i] = rest.reduce((sum, r) => sum + Math.abs(r), 0) / n;
    rest.forEach((r, j) => rest[j] = r - (r >= 0 ? alpha[i] : -alpha[i]));
  }
  return { alpha: alpha.reverse(), offset };
}

/** Integers `scale * (code - zero)` of k bits are binary coding with `alpha_i = scale * 2^(i - 1)`. */
function uniformCoding(scale: number, zero: number, k: number): BinaryCoding {
  return {
    alpha: Float64Array.from({ length: k }, (_, i) => scale * 2 ** (i - 1)),
    offset: scale * ((2 ** k - 1) / 2 - zero),
  };
}

/** The weighted least-squares alpha and offset for given codes. */
function refit(runs: SortedRuns, { codes, bounds }: Assignment, k: number): BinaryCoding {
  const size = k + 1, normal = createMatrix64(size, size), right = createMatrix64(size, 1);
  const signs = new Float64Array(size).fill(1);
  for (let run = 0; run < codes.length; run++) {
    const weight = runs.weight(bounds[run], bounds[run + 1]),
      first = runs.first(bounds[run], bounds[run + 1]);
    for (let i = 0; i < k; i++) signs[i] = codes[run] >> i & 1 ? 1 : -1;
    for (let a = 0; a < size; a++) {
      right.data[a] += signs[a] * first;
      for (let b = 0; b <= a; b++) normal.data[a * size + b] += weight * signs[a] * signs[b];
    }
  }
  // Planes that never change sign make the problem singular; a trace of damping picks one of its solutions.
  const trace = normal.data[size * size - 1];
  for (let a = 0; a < size; a++) normal.data[a * (size + 1)] += 1e-9 * trace + Number.MIN_VALUE;
  const solution = choleskySolve(cholesky(normal), right).data;
  return { alpha: solution.slice(0, k), offset: solution[k] };
}

/**
 * Fits a binary code to values: nearest codes and least-squares levels in turn. The error never rises; unless the start is
 * `greedy`, it ends at or below that of rounding to integers of k bits.
 *
 * @param values The values.
 * @param k Bits of a code, 1 to 8.
 * @param options Weights, iterations, start.
 * @returns The code.
 * @throws {RangeError} If k is out of range.
 *
 * @example Usage
 * ```ts
 * import { binaryLevels, fitBinaryCoding } from "@quik/quant/quant";
 * import { assertAlmostEquals } from "@std/assert";
 *
 * const levels = binaryLevels(fitBinaryCoding([0, 1, 10, 11], 2)); // 5.5 +- 5 +- 0.5
 * [0, 1, 10, 11].forEach((value, i) => assertAlmostEquals(levels.toSorted()[i], value, 1e-6));
 * ```
 */
export function fitBinaryCoding(
  values: ArrayLike<number>,
  k: number,
  options: BinaryCodingOptions = {},
): BinaryCoding {
  if (!Number.isInteger(k) || k < 1 || k > 8) throw new RangeError(`Cannot fit a binary code of ${k} bits`);
  const { iterations = 15, init = "best" } = options;
  const runs = sortedRuns(values, options.weights);
  const starts = [
    ...(init === "greedy" ? [] : [integerCoding(values, k)]),
    ...(init === "uniform" ? [] : [greedyCoding(values, k)]),
  ];
  const ends = starts.map((start) => alternate(runs, start, iterations));
  return ends.reduce((best, end) => end.error < best.error ? end : best).coding;
}

/** Assigns and refits until nothing improves. */
function alternate(
  runs: SortedRuns,
  start: BinaryCoding,
  iterations: number,
): { coding: BinaryCoding; error: number } {
  let coding = start, assigned = assignLevels(runs, binaryLevels(coding));
  for (let iteration = 0; iteration < iterations && assigned.error > 0; iteration++) {
    const refitted = refit(runs, assigned, coding.alpha.length),
      next = assignLevels(runs, binaryLevels(refitted));
    if (!(next.error < assigned.error)) break;
    [coding, assigned] = [refitted, next];
  }
  return { coding, error: assigned.error };
}

/** The k-bit asymmetric integer grid of the values, as a binary code. */
export function integerCoding(values: ArrayLike<number>, k: number): BinaryCoding {
  if (k === 1) {
    const low = Math.min(...Array.from(values)), high = Math.max(...Array.from(values));
    return { alpha: Float64Array.of((high - low) / 2), offset: (high + low) / 2 };
  }
  const { scale, zero } = integerGrid({ bits: k, mapping: "asym", scaleBits: 32 }).fit(
    Float32Array.from(values),
  );
  return uniformCoding(scale, zero, k);
}

/** A coding as it is stored: in float16. */
export function storedCoding({ alpha, offset }: BinaryCoding): BinaryCoding {
  const [stored, ...alphas] = decodeArray(float16, encodeArray(float16, Float32Array.of(offset, ...alpha)));
  return { alpha: Float64Array.from(alphas), offset: stored };
}

/** A grid of binary codes. */
export interface BinaryGridOptions extends Omit<BinaryCodingOptions, "weights"> {
  /** Bits of a code, 1 to 8. */
  readonly bits: number;
}

/**
 * A grid of binary codes fitted to each group, weighed by importance.
 *
 * @param options Bits and fitting.
 * @returns The grid.
 */
export function binaryCodingGrid(options: BinaryGridOptions): Grid {
  const { bits } = options;
  return {
    name: `binary${bits}`,
    bits,
    groupBits: 16 * (bits + 1),
    fit: (values, importance): FittedGrid =>
      levelGrid(
        binaryLevels(storedCoding(fitBinaryCoding(values, bits, { ...options, weights: importance }))),
      ),
  };
}

/**
 * The bit planes of codes, as lookup-table kernels read them.
 *
 * @param codes Codes of one row, `[n]`.
 * @param bits Bits of a code.
 * @returns Plane after plane, `ceil(n / 32)` words each; element j is bit `j mod 32` of word `j div 32`.
 */
export function bitPlanes(codes: ArrayLike<number>, bits: number): Uint32Array<ArrayBuffer> {
  const words = Math.ceil(codes.length / 32), planes = new Uint32Array(bits * words);
  for (let j = 0; j < codes.length; j++) {
    for (let i = 0; i < bits; i++) if (codes[j] >> i & 1) planes[i * words + (j >> 5)] |= 1 << (j & 31);
  }
  return planes;
}

/**
 * The codes that bit planes hold: undoes {@linkcode bitPlanes}.
 *
 * @param planes Plane after plane, `ceil(count / 32)` words each.
 * @param bits Bits of a code.
 * @param count Number of codes.
 * @returns `[count]`.
 *
 * @example Usage
 * ```ts
 * import { bitPlanes, planeCodes } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(planeCodes(bitPlanes([3, 0, 1], 2), 2, 3), Uint8Array.of(3, 0, 1));
 * ```
 */
export function planeCodes(planes: Uint32Array, bits: number, count: number): Uint8Array<ArrayBuffer> {
  const words = Math.ceil(count / 32), codes = new Uint8Array(count);
  for (let j = 0; j < count; j++) {
    for (let i = 0; i < bits; i++) codes[j] |= (planes[i * words + (j >> 5)] >>> (j & 31) & 1) << i;
  }
  return codes;
}
