// What a number format is: a finite set of real values, each with an integer code.

/** A number format of at most 16 bits. Codes are unsigned integers below `2^bits`, bit patterns as stored. */
export interface NumberFormat {
  /** The field's spelling, such as `int4`, `float8E4M3` or `nf4`. */
  readonly name: string;
  /** Bits per code, 1 to 16. */
  readonly bits: number;
  /** Smallest finite value. */
  readonly min: number;
  /** Largest finite value. */
  readonly max: number;
  /** The code of the nearest value, ties to the even code, saturating unless the format was defined otherwise. */
  encode(value: number): number;
  /** The value of a code. */
  decode(code: number): number;
}
