// The weights of a QUIK layer (arXiv 2310.09259): outlier columns in 16 bits, the rest as int4 or int8 codes with one
// scale per output, rounded by outlier-aware GPTQ.
import { gptq, type Sparsity } from "./gptq.ts";
import type { FittedGrid, Grid } from "./grid.ts";
import { type ClipSearch, integerGrid } from "./integer_grid.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { ascendingOrder, baseColumns } from "./outliers.ts";

/** How {@linkcode quikWeights} quantizes. */
export interface QuikWeightsOptions {
  /**
   * `max |x_j|` per input column over calibration. With outliers, GPTQ rounds the columns in its ascending order; without,
   * in natural order, as the authors' code does.
   */
  readonly absmax: Float32Array;
  /** Whether GPTQ rounds base columns in descending order of the Hessian's diagonal instead. Default false. */
  readonly actOrder?: boolean;
  /** Another order for GPTQ, a permutation of all columns; excludes `actOrder`. */
  readonly order?: Uint32Array;
  /** `x^T x` of the inputs times any factor, `[inputs, inputs]`. Needed for `rounding: "gptq"`. */
  readonly hessian?: Matrix;
  /** Bits of a code. Default 4. */
  readonly bits?: 4 | 8;
  /** Columns that stay in 16 bits, ascending. Default none. */
  readonly outliers?: Uint32Array;
  /** Search for a clipped range per output; `true` for the paper's search. Default true. */
  readonly clip?: boolean | ClipSearch;
  /** `gptq` compensates rounding errors; `nearest` does not. Default `gptq`. */
  readonly rounding?: "gptq" | "nearest";
  /** GPTQ's damping. Default 0.01; the authors take 0.5 for Falcon. */
  readonly percDamp?: number;
  /** Weights to set to zero on the way, the pattern lying in the order of rounding of the base columns. Only with `gptq`. */
  readonly sparsity?: Sparsity;
}

/** What a QUIK layer stores. K is the number of base columns, F that of outliers. */
export interface QuikWeights {
  /** Bits of a code. */
  readonly bits: 4 | 8;
  /** Base columns, ascending, `[K]`. */
  readonly baseIndices: Uint32Array<ArrayBuffer>;
  /** Outlier columns, ascending, `[F]`. */
  readonly outlierIndices: Uint32Array<ArrayBuffer>;
  /** Signed codes of the base columns in ascending order, `[outputs, K]`. */
  readonly codes: Int8Array<ArrayBuffer>;
  /** Scale per output, `[outputs]`. */
  readonly scales: Float32Array<ArrayBuffer>;
  /** Row sums of the dequantized base weights, `[outputs]`: what an activation's zero point is multiplied with. */
  readonly reduced: Float32Array<ArrayBuffer>;
  /** Columns of the outliers, compensated by GPTQ, `[outputs, F]`. */
  readonly outlierWeight: Matrix;
  /** Half the squared output error that GPTQ estimates per output; absent for `nearest`. */
  readonly loss?: Float64Array<ArrayBuffer>;
}

/** Integer codes of the base columns, the scales, and the weights they stand for. */
interface Rounded {
  readonly codes: Uint8Array;
  readonly grids: readonly FittedGrid[];
  readonly weight: Matrix;
  readonly loss?: Float64Array<ArrayBuffer>;
}

function roundNearest(weight: Matrix, grid: Grid, base: Uint32Array): Rounded {
  const codes = new Uint8Array(weight.data.length);
  const grids: FittedGrid[] = [];
  if (base.length === 0) return { codes, grids, weight };
  for (let r = 0; r < weight.rows; r++) {
    const offset = r * weight.cols;
    const fitted = grid.fit(Float32Array.from(base, (c) => weight.data[offset + c]));
    for (const c of base) codes[offset + c] = fitted.encode(weight.data[offset + c]);
    grids.push(fitted);
  }
  return { codes, grids, weight };
}

/**
 * The order in which GPTQ rounds the columns of a QUIK layer; outliers move to its end.
 *
 * @param options As of {@linkcode quikWeights}.
 * @returns A permutation of the columns; undefined for their natural order.
 */
export function quikOrder(options: QuikWeightsOptions): Uint32Array | undefined {
  const { order, actOrder = false, hessian, absmax, outliers } = options;
  if (order && actOrder) throw new TypeError("Cannot combine an explicit order with actOrder: choose one");
  if (order) return order;
  if (actOrder && hessian) {
    return ascendingOrder(absmax.map((_, i) => hessian.data[i * hessian.cols + i])).reverse();
  }
  return outliers?.length ? ascendingOrder(absmax) : undefined;
}

function round(weight: Matrix, grid: Grid, base: Uint32Array, options: QuikWeightsOptions): Rounded {
  const { hessian, outliers, percDamp, sparsity, rounding = "gptq" } = options;
  if (rounding === "nearest") {
    if (sparsity) throw new TypeError("Cannot prune with plain rounding: use GPTQ");
    return roundNearest(weight, grid, base);
  }
  if (!hessian) throw new TypeError("Cannot run GPTQ without a Hessian: give one, or round to nearest");
  return gptq(weight, { hessian, grid, outliers, order: quikOrder(options), percDamp, sparsity });
}

/**
 * Quantizes the weights of a linear layer the QUIK way. Scales come from the original base weights.
 *
 * @param weight `[outputs, inputs]`. Not changed.
 * @param options Calibration, bits, outliers, clipping, rounding.
 * @returns Codes, scales, row sums and outlier columns.
 * @throws {RangeError} If shapes do not fit, outliers are not ascending, or values are not finite.
 * @throws {TypeError} If GPTQ is asked for without a Hessian.
 *
 * @example Usage
 * ```ts
 * import { createMatrix, quikWeights } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const { codes, scales, reduced, outlierWeight } = quikWeights(createMatrix(1, 3, Float32Array.of(3.5, 9, -1)), {
 *   absmax: Float32Array.of(1, 20, 1),
 *   outliers: Uint32Array.of(1),
 *   rounding: "nearest",
 *   clip: false,
 * });
 * assertEquals(codes, Int8Array.of(7, -2));
 * assertEquals(scales, Float32Array.of(0.5));
 * assertEquals(reduced, Float32Array.of(2.5));
 * assertEquals(outlierWeight.data, Float32Array.of(9));
 * ```
 */
export function quikWeights(weight: Matrix, options: QuikWeightsOptions): QuikWeights {
  const { absmax, bits = 4, outliers = new Uint32Array(0), clip = true } = options;
  if (absmax.length !== weight.cols) {
    throw new RangeError(
      `Cannot quantize ${weight.cols} input columns with ${absmax.length} values of absmax`,
    );
  }
  if (!weight.data.every(Number.isFinite)) {
    throw new RangeError("Cannot quantize weights that are NaN or infinite");
  }
  const base = baseColumns(weight.cols, outliers);
  if (bits === 4 && base.length % 2 !== 0) {
    throw new RangeError(
      `Cannot quantize ${base.length} base columns to 4 bits: packed int4 needs an even number of them`,
    );
  }
  const { codes, grids, weight: rounded, loss } = round(
    weight,
    integerGrid({ bits, clip, scaleBits: 32 }),
    base,
    options,
  );

  const result = new Int8Array(weight.rows * base.length);
  const reduced = new Float32Array(weight.rows);
  const outlierWeight = createMatrix(weight.rows, outliers.length);
  const scales = Float32Array.from({ length: weight.rows }, (_, r) => grids[r]?.scale ?? 1);
  const shift = 32 - bits;
  for (let r = 0; r < weight.rows; r++) {
    let sum = 0;
    for (let b = 0; b < base.length; b++) {
      const code = codes[r * weight.cols + base[b]] << shift >> shift;
      result[r * base.length + b] = code;
      sum += code;
    }
    reduced[r] = scales[r] * sum;
    for (let f = 0; f < outliers.length; f++) {
      outlierWeight.data[r * outliers.length + f] = rounded.data[r * weight.cols + outliers[f]];
    }
  }
  return {
    bits,
    baseIndices: base,
    outlierIndices: Uint32Array.from(outliers),
    codes: result,
    scales,
    reduced,
    outlierWeight,
    ...(loss ? { loss } : {}),
  };
}

/**
 * The float weights that a QUIK layer's codes stand for.
 *
 * @param weights What {@linkcode quikWeights} returned.
 * @returns `[outputs, inputs]`, columns in natural order.
 */
export function dequantizeQuik(weights: QuikWeights): Matrix {
  const { baseIndices, outlierIndices, codes, scales, outlierWeight } = weights;
  const rows = scales.length, base = baseIndices.length, outliers = outlierIndices.length;
  const result = createMatrix(rows, base + outliers);
  for (let r = 0; r < rows; r++) {
    const offset = r * result.cols;
    for (let b = 0; b < base; b++) result.data[offset + baseIndices[b]] = codes[r * base + b] * scales[r];
    for (let f = 0; f < outliers; f++) {
      result.data[offset + outlierIndices[f]] = outlierWeight.data[r * outliers + f];
    }
  }
  return result;
}
