// The words that specs share: how values are stored on a device, and what becomes of a result.

/** Element-wise nonlinearity of a feed-forward layer. `gelu` is the exact form, `gelu_tanh` its tanh approximation. */
export type Activation = "silu" | "relu" | "gelu" | "gelu_tanh";

/** Storage type of a dense weight or table. */
export type FloatType = "float32" | "float16" | "bfloat16";

/** Width of an integer code. */
export type CodeBits = 4 | 8;

/** What a product makes of its float32 sums as it stores them: `y = activation(sum + bias)`. */
export interface ResultOptions {
  /** Nonlinearity applied after the bias. Default: none. */
  readonly activation?: Activation;
  /** Storage type of y. In float16 values beyond its range saturate, and a row takes `float16RowBytes(columns)`, padded
   * with zeros. Default `float32`, rows without padding. */
  readonly resultType?: "float32" | "float16";
}

/** How a product finds its input x. */
export interface InputOptions {
  /** Storage type of x: in float16 a row takes `float16RowBytes(inner)`, as products with such a `resultType` leave it, and
   * padding is not read. Default `float32`, rows without padding. */
  readonly inputType?: "float32" | "float16";
}

/** Storage type of the block scales of a `codebook_linear` weight. */
export type ScaleType = "float32" | "float16" | "float8E4M3" | "float8E8M0";

/** Smallest scale an activation row may get, as in QUIK's kernels: keeps a constant row exact and finite. */
export const MIN_ACTIVATION_SCALE = 1e-6;

/**
 * Bytes of one row of packed codes on a device: dense little-endian bits, padded to 16 bytes.
 *
 * @param count Codes in the row.
 * @param bits Bits per code.
 * @returns The row stride in bytes.
 */
export function packedRowBytes(count: number, bits: number): number {
  return Math.ceil((count * bits) / 128) * 16;
}

/**
 * Bytes of one row of float16 values on a device, padded to 16 bytes.
 *
 * @param count Values in the row.
 * @returns The row stride in bytes.
 */
export function float16RowBytes(count: number): number {
  return Math.ceil(count / 8) * 16;
}
