// What a number format is: a finite set of real values, each with an integer code.

/** Options of {@linkcode NumberFormat.encode} and {@linkcode encodeArray}. */
export interface EncodeOptions {
  /**
   * What becomes of a finite value beyond the largest one: `true` clamps it to `min` or `max`, `false` gives the code
   * of infinity, else of NaN, where the format has one. A format that has neither always clamps.
   *
   * @default {true}
   */
  readonly saturate?: boolean;
}

/**
 * A number format of at most 16 bits. Codes are unsigned integers below `2^bits`, bit patterns as stored: `int4` encodes
 * -1 as 15. A user's own format is any object of this shape; `encode` must not fall as its argument rises.
 */
export interface NumberFormat {
  /** The field's spelling, such as `int4`, `float8E4M3` or `nf4`. */
  readonly name: string;
  /** Bits per code, 1 to 16. */
  readonly bits: number;
  /** Smallest finite value. */
  readonly min: number;
  /** Largest finite value. */
  readonly max: number;
  /** Set when `encode` draws random numbers: bulk encoding then calls it for every value instead of using a table. */
  readonly stochastic?: boolean;
  /**
   * The code of the nearest value, ties to the even code unless the format was defined otherwise, saturating unless
   * asked otherwise.
   */
  encode(value: number, options?: EncodeOptions): number;
  /** The value of a code. */
  decode(code: number): number;
}

/** A format whose codes fit a byte; bulk encoding gives a `Uint8Array`. */
export type ByteFormat = NumberFormat & { readonly bits: 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 };

/** A 16-bit format; bulk encoding gives a `Uint16Array`. */
export type WordFormat = NumberFormat & { readonly bits: 16 };

/** Codes of many values: a byte each up to 8 bits, two bytes above. */
export type CodeArray = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;
