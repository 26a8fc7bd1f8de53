// What a rounding algorithm needs to know of a number format: fit it to a group of weights, then round one value at a
// time. GPTQ, plain rounding and every search run on any grid: integers, floats, codebooks, binary coding.

/** A grid fitted to one group of weights of one output row. */
export interface FittedGrid {
  /** Factor from levels to weights. */
  readonly scale: number;
  /** Zero point in units of levels: a weight is `(level - zero) * scale`. 0 where the grid has none. */
  readonly zero: number;
  /** The code of the nearest value, saturating. */
  encode(value: number): number;
  /** The float32 value of a code. */
  decode(code: number): number;
}

/** A number format with the rule that fits it to weights. A user's own grid is one object of this shape. */
export interface Grid {
  /** Such as `int4` or `nf4`. */
  readonly name: string;
  /** Bits per code, at most 8. Codes are unsigned bit patterns below `2^bits`. */
  readonly bits: number;
  /** Bits stored once per fitted group: scale, zero point, table. */
  readonly groupBits: number;
  /**
   * Fits the grid to the weights of one group of one row.
   *
   * @param values The weights; not changed, not kept.
   * @param importance How much an error in each weight matters, such as the Hessian's diagonal; equal when left out.
   */
  fit(values: Float32Array, importance?: Float32Array | Float64Array): FittedGrid;
}
