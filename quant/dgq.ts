// DGQ (arXiv 2310.04836): 4-bit weights whose group scales are small integers, so that weights expand to int8 without
// loss and one float scale per output is left.
import { diagonalForm, quadraticForm } from "./_quadratic_form.ts";
import { roundHalfEven } from "../formats/mod.ts";
import { storedHalf } from "./_stored_half.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import type { Rounder } from "./recipe.ts";

/** How {@linkcode dgq} searches. */
export interface DgqOptions {
  /** `x^T x` of the layer's inputs times any factor, `[inputs, inputs]`. */
  readonly hessian: Matrix;
  /** Weights of a row that share an integer scale. Default 128. */
  readonly groupSize?: number;
  /** Clipping ratios tried per group, from 1.009 down to 0.8, and 1. Default 20. */
  readonly groupSteps?: number;
  /** Ratios tried for the scale of a row, from 1.01 down to 0.2. Default 80. */
  readonly rowSteps?: number;
  /** Candidates compared by the full output error, after a ranking by the Hessian's diagonal. Default 6. */
  readonly shortlist?: number;
}

/** `weight = scale * groupScale * (code - zero)`; `groupScale * (code - zero)` is an int8. */
export interface DgqResult {
  /** 0 to 15, `[outputs, inputs]`. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** 1 to 127, `[outputs, groups]`. */
  readonly groupScales: Int8Array<ArrayBuffer>;
  /** `[outputs, groups]`. */
  readonly zeros: Int8Array<ArrayBuffer>;
  /** `[outputs]`. */
  readonly scales: Float32Array<ArrayBuffer>;
  /** The int8 weights that the integer product uses, `[outputs, inputs]`. */
  readonly integers: Int8Array<ArrayBuffer>;
  /** Dequantized, `[outputs, inputs]`. */
  readonly weight: Matrix;
}

const TOP = 15, INT8 = 127, SHIFTER = 1.5 * 2 ** 52;

/** Float scale and integer zero point of a group: `weight = scale * (code - zero)`. */
export interface DgqGroupGrid {
  /** Positive. */
  readonly scale: number;
  /** 0 to 15. */
  readonly zero: number;
}

/**
 * Phase 1 of DGQ: the clipping ratio of a group with the least output error of the group alone. The whole range is always
 * among those compared in full, so that the result is never worse than plain rounding.
 *
 * @param values Weights of the group.
 * @param options Hessian and searches.
 * @param start First input of the group. Default 0.
 * @returns The group's grid.
 */
export function dgqGroupGrid(values: Float32Array, options: DgqOptions, start = 0): DgqGroupGrid {
  const { groupSteps = 20 } = options;
  const min = values.reduce((m, w) => Math.min(m, w), 0), max = values.reduce((m, w) => Math.max(m, w), 0);
  if (min === max) return { scale: 1, zero: 0 };
  const ratios = [1, ...Array.from({ length: groupSteps }, (_, i) => 1.02 - (i + 1) / groupSteps * 0.22)];
  const grids = ratios.map((ratio) => {
    const scale = (max - min) * ratio / TOP;
    return { scale, zero: roundHalfEven(-min * ratio / scale) };
  });
  const change = new Float32Array(values.length);
  const changeOf = ({ scale, zero }: DgqGroupGrid): Float32Array => {
    for (let i = 0; i < values.length; i++) {
      const code = Math.min(TOP, Math.max(0, roundHalfEven(values[i] / scale) + zero));
      change[i] = scale * (code - zero) - values[i];
    }
    return change;
  };
  return leastLoss(grids, changeOf, options, start);
}

/**
 * The candidate with the least output error: all are ranked by what the Hessian's diagonal makes of it, the first few
 * and the very first compared in full. `changeOf` gives the change of the weights, in an array that it may use again.
 */
function leastLoss<T>(
  candidates: readonly T[],
  changeOf: (candidate: T) => Float32Array,
  { hessian, shortlist = 6 }: DgqOptions,
  start = 0,
): T {
  const ranked = candidates.map((candidate) => ({
    candidate,
    rank: diagonalForm(changeOf(candidate), hessian, start),
  }));
  ranked.sort((a, b) => a.rank - b.rank);
  const finalists = ranked.slice(0, Math.max(1, shortlist)).map(({ candidate }) => candidate);
  if (!finalists.includes(candidates[0])) finalists.push(candidates[0]);
  if (finalists.length === 1) return finalists[0];
  const losses = finalists.map((candidate) => quadraticForm(changeOf(candidate), hessian, start));
  return finalists[losses.indexOf(Math.min(...losses))];
}

/** A row with integer group scales. */
interface RowCodes {
  readonly scale: number;
  readonly codes: Uint8Array;
  readonly groupScales: Int8Array;
  /** Dequantized minus original. */
  readonly change: Float32Array;
}

/** Codes of a row once its scale is given, into `row`; codes are limited so that the int8 weights do not overflow. */
function encodeRow(
  weights: Float32Array,
  groups: readonly DgqGroupGrid[],
  groupSize: number,
  row: RowCodes,
): void {
  const { scale, codes, groupScales, change } = row;
  for (let g = 0; g < groups.length; g++) {
    groupScales[g] = Math.min(INT8, Math.max(1, roundHalfEven(groups[g].scale / scale)));
    const { zero } = groups[g], step = Math.fround(scale * groupScales[g]);
    const reach = Math.floor(INT8 / groupScales[g]);
    const low = Math.max(0, zero - reach), high = Math.min(TOP, zero + reach);
    const end = Math.min((g + 1) * groupSize, weights.length);
    for (let c = g * groupSize; c < end; c++) {
      // Rounds half to even, as roundHalfEven does, in the loop that runs eighty times over every weight.
      const code = weights[c] / step + SHIFTER - SHIFTER + zero;
      codes[c] = code < low ? low : code > high ? high : code;
      change[c] = step * (codes[c] - zero) - weights[c];
    }
  }
}

/** Phase 2: the scale of a row with the least output error. */
function fitRow(row: Float32Array, groups: readonly DgqGroupGrid[], options: DgqOptions): RowCodes {
  const { groupSize = 128, rowSteps = 80 } = options;
  const absmax = row.reduce((m, w) => Math.max(m, Math.abs(w)), 0) || 1;
  const scales = Array.from(
    { length: rowSteps },
    (_, i) => storedHalf((1.02 - (i + 1) / rowSteps * 0.82) * absmax / INT8),
  );
  const buffers = {
    codes: new Uint8Array(row.length),
    groupScales: new Int8Array(groups.length),
    change: new Float32Array(row.length),
  };
  const encode = (scale: number): RowCodes => {
    const result = { scale, ...buffers };
    encodeRow(row, groups, groupSize, result);
    return result;
  };
  return encode(leastLoss(scales, (scale) => encode(scale).change, options));
}

/**
 * Quantizes weights to 4 bits with dual-grained scales.
 *
 * @param weight `[outputs, inputs]`.
 * @param options Hessian, group size and searches.
 * @returns Codes, both scales, int8 weights and dequantized weights.
 * @throws {RangeError} If the Hessian does not fit or a weight is not finite.
 */
export function dgq(weight: Matrix, options: DgqOptions): DgqResult {
  const { data, rows, cols } = weight, { hessian, groupSize = 128 } = options;
  if (hessian.rows !== cols || !data.every(Number.isFinite)) {
    throw new RangeError(`Cannot run DGQ on weights of ${cols} inputs: they or the Hessian do not fit`);
  }
  const groups = Math.ceil(cols / groupSize);
  const result: DgqResult = {
    codes: new Uint8Array(rows * cols),
    groupScales: new Int8Array(rows * groups),
    zeros: new Int8Array(rows * groups),
    scales: new Float32Array(rows),
    integers: new Int8Array(rows * cols),
    weight: createMatrix(rows, cols),
  };
  for (let r = 0; r < rows; r++) {
    const row = data.slice(r * cols, (r + 1) * cols);
    const grids = Array.from(
      { length: groups },
      (_, g) => dgqGroupGrid(row.subarray(g * groupSize, (g + 1) * groupSize), options, g * groupSize),
    );
    const { codes, groupScales, scale } = fitRow(row, grids, options);
    result.codes.set(codes, r * cols);
    result.groupScales.set(groupScales, r * groups);
    result.zeros.set(grids.map(({ zero }) => zero), r * groups);
    result.scales[r] = scale;
    for (let c = 0; c < cols; c++) {
      const group = Math.floor(c / groupSize);
      result.integers[r * cols + c] = groupScales[group] * (codes[c] - grids[group].zero);
      result.weight.data[r * cols + c] = scale * result.integers[r * cols + c];
    }
  }
  return result;
}

/**
 * DGQ as the rounding step of a recipe. Takes no outliers.
 *
 * @param options Group size and searches.
 * @returns The rounder.
 */
export function dgqRounder(options: Omit<DgqOptions, "hessian"> = {}): Rounder {
  return {
    name: "dgq uint4",
    bits: 4,
    round(weight, { calibration: { hessian }, outliers }) {
      if (outliers.length > 0) throw new TypeError("Cannot combine DGQ with outlier columns");
      const { weight: rounded, codes, groupScales, zeros, scales } = dgq(weight, { ...options, hessian });
      return {
        weight: rounded,
        storedBits: 4 * codes.length + 8 * groupScales.length + 4 * zeros.length + 16 * scales.length,
      };
    },
  };
}
