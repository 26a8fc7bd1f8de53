// Bulk encoding and decoding: the same codes and values as one `encode` or `decode` per element, from tables.
import type { ByteFormat, CodeArray, EncodeOptions, NumberFormat, WordFormat } from "./number_format.ts";
import { bfloat16, float16 } from "./floats.ts";
import { encodeByTable, encodeTableOf } from "./_encode_table.ts";
import { encodeBfloat16, encodeFloat16 } from "./_encode_half.ts";

/** Below this count a table would cost more than it saves. */
const TABLE_THRESHOLD = 2048;

/**
 * Encodes many values: the codes of `format.encode` for each. Long `Float32Array`s go through a table over the float's
 * upper 16 bits (byte formats) or bit arithmetic (float16, bfloat16); other inputs are encoded one by one.
 *
 * @param format The number format.
 * @param values The values.
 * @param options Saturation, as for `encode`.
 * @returns One code per value, in a byte each up to 8 bits and in two bytes above.
 *
 * @example Usage
 * ```ts
 * import { decodeArray, encodeArray, int4 } from "@quik/quant/formats";
 * import { assertEquals } from "@std/assert";
 *
 * const codes = encodeArray(int4, Float32Array.of(-8, -0.5, 1.5, 99));
 * assertEquals(codes, Uint8Array.of(8, 0, 2, 7));
 * assertEquals(decodeArray(int4, codes), Float32Array.of(-8, 0, 2, 7));
 * ```
 */
export function encodeArray(
  format: ByteFormat,
  values: ArrayLike<number>,
  options?: EncodeOptions,
): Uint8Array<ArrayBuffer>;
/** Encodes many values in a 16-bit format. */
export function encodeArray(
  format: WordFormat,
  values: ArrayLike<number>,
  options?: EncodeOptions,
): Uint16Array<ArrayBuffer>;
/** Encodes many values in any format. */
export function encodeArray(
  format: NumberFormat,
  values: ArrayLike<number>,
  options?: EncodeOptions,
): CodeArray;
export function encodeArray(
  format: NumberFormat,
  values: ArrayLike<number>,
  options?: EncodeOptions,
): CodeArray {
  if (values instanceof Float32Array) {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    if (format === float16) return encodeFloat16(bits, options?.saturate ?? true);
    if (format === bfloat16) return encodeBfloat16(bits, options?.saturate ?? true);
    if (values.length >= TABLE_THRESHOLD && format.bits <= 8 && !format.stochastic) {
      const table = encodeTableOf(format, options);
      if (table !== undefined) return encodeByTable(bits, table, new Uint8Array(values.length));
    }
  }
  const codes = format.bits <= 8 ? new Uint8Array(values.length) : new Uint16Array(values.length);
  for (let i = 0; i < codes.length; i++) codes[i] = format.encode(values[i], options);
  return codes;
}

/** Encodes the elements of `values` from `start` to `end`, all when left out, into those of `codes`. */
export type BulkEncoder = (
  values: Float32Array<ArrayBuffer>,
  codes: CodeArray,
  start?: number,
  end?: number,
) => void;

/**
 * Makes a bulk encoder for many calls on few values, writing into memory of the caller's: scale searches. Its table is
 * built at once.
 *
 * @param format The number format.
 * @param options Saturation, as for `encode`.
 * @returns A function that encodes the elements of `values` from `start` to `end` into those of `codes`.
 */
export function createEncoder(format: NumberFormat, options?: EncodeOptions): BulkEncoder {
  const table = format.bits <= 8 && !format.stochastic ? encodeTableOf(format, options) : undefined;
  return (values, codes, start = 0, end = values.length) => {
    if (table !== undefined && codes instanceof Uint8Array) {
      const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
      encodeByTable(bits, table, codes, start, end);
    } else for (let i = start; i < end; i++) codes[i] = format.encode(values[i], options);
  };
}

const valueTables = new WeakMap<NumberFormat, Float32Array<ArrayBuffer>>();

/**
 * Decodes many codes: the values of `format.decode` for each, rounded to float32.
 *
 * @param format The number format.
 * @param codes Unsigned codes below `2^bits`.
 * @returns One value per code.
 * @throws {RangeError} If a code does not fit the format's bits.
 */
export function decodeArray(format: NumberFormat, codes: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const table = valuesOf(format);
  const values = new Float32Array(codes.length);
  let all = 0;
  for (let i = 0; i < values.length; i++) {
    const code = codes[i];
    all |= code;
    values[i] = table[code];
  }
  if (all >>> format.bits !== 0) {
    throw new RangeError(`Cannot decode as ${format.name}: a code lies outside 0 to ${2 ** format.bits - 1}`);
  }
  return values;
}

/**
 * The value of every code of a format: the table that a GPU kernel for codebooks takes.
 *
 * @param format The number format.
 * @returns `2^bits` float32 values, a fresh copy.
 */
export function levelsOf(format: NumberFormat): Float32Array<ArrayBuffer> {
  return valuesOf(format).slice();
}

function valuesOf(format: NumberFormat): Float32Array<ArrayBuffer> {
  let table = valueTables.get(format);
  if (table === undefined) {
    table = Float32Array.from({ length: 2 ** format.bits }, (_, code) => format.decode(code));
    valueTables.set(format, table);
  }
  return table;
}
