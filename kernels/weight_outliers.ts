// Splitting 8-bit weights for `outlier_matmul`: the rare large codes apart, so that the rest fits 7 bits.
import { packedRowBytes } from "./specs.ts";

/** Smallest and largest main code. */
const LOWEST = -64;
const HIGHEST = 63;

/** The weight of an {@linkcode OutlierMatmulSpec}, as its buffers want it. */
export interface SplitWeight {
  /** Codes of -64..63, int8 rows of `packedRowBytes(inner, 8)`. */
  readonly main: Int8Array<ArrayBuffer>;
  /** First remainder of each row and the end of the last, `[columns + 1]`. */
  readonly starts: Uint32Array<ArrayBuffer>;
  /** Position of each remainder in its row. */
  readonly indices: Uint32Array<ArrayBuffer>;
  /** What the main code lacks, -64..64. */
  readonly values: Int32Array<ArrayBuffer>;
}

/**
 * Splits an 8-bit weight into main codes of 7 bits and a sparse remainder that adds up with them to the weight.
 *
 * @param codes `[columns, inner]` int8 codes, dense rows.
 * @param inner Codes per row.
 * @returns Both parts.
 * @throws {RangeError} If the codes do not fill rows of `inner`.
 *
 * @example Usage
 * ```ts
 * import { splitWeightOutliers } from "@quik/quant/kernels";
 * import { assertEquals } from "@std/assert";
 *
 * const split = splitWeightOutliers(Int8Array.of(5, 100, -70, 0), 2);
 * assertEquals(split.starts, Uint32Array.of(0, 1, 2));
 * assertEquals(split.indices, Uint32Array.of(1, 0));
 * assertEquals(split.values, Int32Array.of(37, -6)); // 63 + 37, -64 - 6
 * ```
 */
export function splitWeightOutliers(codes: Int8Array<ArrayBuffer>, inner: number): SplitWeight {
  if (!Number.isInteger(inner) || inner < 1 || codes.length % inner !== 0) {
    throw new RangeError(`Cannot split ${codes.length} codes into rows of ${inner}`);
  }
  const columns = codes.length / inner;
  const stride = packedRowBytes(inner, 8);
  const main = new Int8Array(columns * stride);
  const starts = new Uint32Array(columns + 1);
  const indices: number[] = [];
  const values: number[] = [];
  for (let column = 0; column < columns; column++) {
    for (let k = 0; k < inner; k++) {
      const code = codes[column * inner + k];
      const limited = Math.min(Math.max(code, LOWEST), HIGHEST);
      main[column * stride + k] = limited;
      if (limited === code) continue;
      indices.push(k);
      values.push(code - limited);
    }
    starts[column + 1] = indices.length;
  }
  return { main, starts, indices: Uint32Array.from(indices), values: Int32Array.from(values) };
}
