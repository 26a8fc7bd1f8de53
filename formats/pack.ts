// Packing codes of 1 to 8 bits into bytes and back, in the orders that the field stores them.
import { packStream, unpackStream } from "./_bit_stream.ts";

/** Where each code goes: `"row-major"` is a dense stream, each code in the lowest free bits (QUIK's low nibble first). */
export type PackingOrder = "row-major";

/** Options of {@linkcode pack} and {@linkcode unpack}. */
export interface PackOptions {
  /**
   * The order of the codes.
   *
   * @default {"row-major"}
   */
  readonly order?: PackingOrder;
  /** Rows and columns of the codes, when each row is to start on a byte of its own; one row when left out. */
  readonly shape?: readonly [rows: number, columns: number];
  /**
   * Bytes from one packed row to the next, for rows padded with zeros.
   *
   * @default {columns * bits / 8, which must then be whole}
   */
  readonly rowBytes?: number;
}

/**
 * Packs codes into bytes. Signed codes (an `Int8Array`) are stored in two's complement.
 *
 * @param codes The codes: unsigned and below `2^bits`, or an `Int8Array` of signed codes of that many bits.
 * @param bits Bits per code, 1 to 8.
 * @param options Order and shape.
 * @returns The packed bytes.
 * @throws {RangeError} If the width is illegal, a code does not fit it, or a row does not fill whole bytes.
 *
 * @example Usage
 * ```ts
 * import { pack, unpack } from "@quik/quant/formats";
 * import { assertEquals } from "@std/assert";
 *
 * const packed = pack(Int8Array.of(-8, -8, -6, -4, -3, 0, 4, 7), 4);
 * assertEquals(packed, Uint8Array.of(0x88, 0xca, 0x0d, 0x74));
 * assertEquals(unpack(packed, 4, 8), Uint8Array.of(8, 8, 10, 12, 13, 0, 4, 7));
 * ```
 */
export function pack(
  codes: Uint8Array<ArrayBufferLike> | Int8Array<ArrayBufferLike>,
  bits: number,
  options: PackOptions = {},
): Uint8Array<ArrayBuffer> {
  checkBits("pack", bits);
  checkCodes(codes, bits);
  const { rows, columns, rowBytes } = rowLayout("pack", codes.length, bits, options);
  const bytes = new Uint8Array(codes.buffer, codes.byteOffset, codes.length);
  const packed = new Uint8Array(rows * rowBytes);
  if (rowBytes * 8 === columns * bits) packStream(bytes, bits, packed);
  else {
    for (let row = 0; row < rows; row++) {
      packStream(
        bytes.subarray(row * columns, (row + 1) * columns),
        bits,
        packed.subarray(row * rowBytes, (row + 1) * rowBytes),
      );
    }
  }
  return packed;
}

/**
 * Unpacks what {@linkcode pack} packed.
 *
 * @param packed The packed bytes.
 * @param bits Bits per code, 1 to 8.
 * @param count Number of codes in all.
 * @param options Order and shape, the same as for packing.
 * @returns The codes, unsigned; see {@linkcode signExtend}.
 * @throws {RangeError} If the width or count is illegal, or the bytes do not hold exactly that many codes.
 */
export function unpack(
  packed: Uint8Array<ArrayBufferLike>,
  bits: number,
  count: number,
  options: PackOptions = {},
): Uint8Array<ArrayBuffer> {
  checkBits("unpack", bits);
  const { rows, columns, rowBytes } = rowLayout("unpack", count, bits, options);
  if (packed.length !== rows * rowBytes) {
    throw new RangeError(
      `Cannot unpack ${count} codes of ${bits} bits from ${packed.length} bytes: they take ${
        rows * rowBytes
      }`,
    );
  }
  const codes = new Uint8Array(count);
  if (rowBytes * 8 === columns * bits) unpackStream(packed, bits, codes);
  else {
    for (let row = 0; row < rows; row++) {
      unpackStream(
        packed.subarray(row * rowBytes, (row + 1) * rowBytes),
        bits,
        codes.subarray(row * columns, (row + 1) * columns),
      );
    }
  }
  return codes;
}

/**
 * Reads unsigned codes as two's complement numbers.
 *
 * @param codes Unsigned codes below `2^bits`.
 * @param bits Bits per code, 1 to 8.
 * @returns The signed codes.
 */
export function signExtend(codes: Uint8Array<ArrayBufferLike>, bits: number): Int8Array<ArrayBuffer> {
  checkBits("sign-extend", bits);
  const shift = 32 - bits;
  const signed = new Int8Array(codes.length);
  for (let i = 0; i < signed.length; i++) signed[i] = (codes[i] << shift) >> shift;
  return signed;
}

function checkBits(verb: string, bits: number): void {
  if (!Number.isInteger(bits) || bits < 1 || bits > 8) {
    throw new RangeError(`Cannot ${verb} codes of ${bits} bits: the width must be an integer from 1 to 8`);
  }
}

function checkCodes(
  codes: Uint8Array<ArrayBufferLike> | Int8Array<ArrayBufferLike>,
  bits: number,
): void {
  const isSigned = codes instanceof Int8Array;
  const offset = isSigned ? 2 ** (bits - 1) : 0;
  let all = 0;
  for (let i = 0; i < codes.length; i++) all |= codes[i] + offset;
  if (all >>> bits !== 0) {
    throw new RangeError(
      `Cannot pack as ${isSigned ? "int" : "uint"}${bits}: a code lies outside ${-offset} to ${
        2 ** bits - 1 - offset
      }`,
    );
  }
}

function rowLayout(
  verb: string,
  count: number,
  bits: number,
  options: PackOptions,
): { rows: number; columns: number; rowBytes: number } {
  const [rows, columns] = options.shape ?? [1, count];
  if (!Number.isInteger(count) || count < 0 || rows * columns !== count) {
    throw new RangeError(`Cannot ${verb} ${count} codes as [${rows}, ${columns}]: the shape must hold them`);
  }
  const rowBits = columns * bits;
  const rowBytes = options.rowBytes ?? rowBits / 8;
  if (!Number.isInteger(rowBytes)) {
    const multiple = bits % 4 === 0 ? "even" : `a multiple of ${bits % 2 === 0 ? 4 : 8}`;
    throw new RangeError(`Cannot ${verb} ${columns} codes as int${bits}: the count must be ${multiple}`);
  }
  if (rowBytes * 8 < rowBits) {
    throw new RangeError(
      `Cannot ${verb} rows of ${columns} codes as int${bits} in ${rowBytes} bytes: they take ${
        Math.ceil(rowBits / 8)
      }`,
    );
  }
  return { rows, columns, rowBytes };
}
