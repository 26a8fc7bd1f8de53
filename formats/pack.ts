// Packing codes of 1 to 8 bits into bytes and back, in the orders that the field stores them.
import { type LineOrderName, lineOrders } from "./_line_orders.ts";
import { type LineLayout, lineLayout, packLines, unpackLines } from "./_pack_lines.ts";
import { awqOrder, marlinOrder, type WeightOrder, type WeightShape } from "./_weight_orders.ts";

/**
 * Where each code goes. Words are 32 bits, little-endian.
 *
 * | order | bits | what |
 * | --- | --- | --- |
 * | `row-major` | 1-8 | dense stream, each code in the lowest free bits: QUIK's low nibble first, ONNX, this library's kernels |
 * | `bitsandbytes` | 4 | the first code of two in the high nibble |
 * | `gguf` | 4 | blocks of 32: byte j holds code j low and code j + 16 high |
 * | `interleaved` | 1, 2, 4, 8 | words in which `word & 0x0f0f0f0f` is codes 0-3 as four bytes, `word >> 4` masked codes 4-7 |
 * | `compressed-tensors` | 1-8 | dense stream per row, padded to whole words; add the offset to signed codes first |
 * | `gptq` | 2, 3, 4, 8 | a weight `[outputs, inputs]` to `[inputs * bits / 32, outputs]` words, each down the inputs |
 * | `awq` | 4 | a weight `[outputs, inputs]` to `[inputs, outputs / 8]` words of outputs 0, 2, 4, 6, 1, 3, 5, 7 |
 * | `marlin` | 4 | a weight `[outputs, inputs]` to `[inputs / 16, outputs * 2]` words in 16x64 tiles |
 */
export type PackingOrder =
  | "row-major"
  | "bitsandbytes"
  | "gguf"
  | "interleaved"
  | "compressed-tensors"
  | "gptq"
  | "awq"
  | "marlin";

/** Options of {@linkcode pack} and {@linkcode unpack}. */
export interface PackOptions {
  /**
   * The order of the codes.
   *
   * @default {"row-major"}
   */
  readonly order?: PackingOrder;
  /**
   * Rows and columns of the codes. Each line, see `axis`, starts on a byte or word of its own.
   *
   * @default {one row}
   */
  readonly shape?: readonly [rows: number, columns: number];
  /**
   * The dimension along which neighbors share bytes: 1 packs along each row, 0 down each column, which gives
   * `[packed rows, columns]` bytes (words for `compressed-tensors`). The orders `gptq`, `awq` and `marlin` fix their own.
   *
   * @default {1}
   */
  readonly axis?: 0 | 1;
  /**
   * Bytes of a packed line, for lines padded with zeros.
   *
   * @default {what the codes of a line fill exactly, or whole words for "compressed-tensors"}
   */
  readonly rowBytes?: number;
}

/** Codes as bytes: unsigned, or signed in two's complement. */
type CodeBytes = Uint8Array<ArrayBufferLike> | Int8Array<ArrayBufferLike>;

const weightOrders: Readonly<Record<"awq" | "marlin", WeightOrder>> = { awq: awqOrder, marlin: marlinOrder };

/**
 * Packs codes into bytes. Signed codes (an `Int8Array`, or numbers some of which are negative) are stored in two's
 * complement. Bytes are read as they lie; any other array is copied first.
 *
 * @param codes The codes: unsigned and below `2^bits`, or signed integers of that many bits.
 * @param bits Bits per code, 1 to 8.
 * @param options Order and shape.
 * @returns The packed bytes; a view of them as words needs no copy.
 * @throws {RangeError} If the order does not exist for the width, a code does not fit it, or the shape does not fill whole
 * bytes, words or tiles.
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
  codes: ArrayLike<number>,
  bits: number,
  options: PackOptions = {},
): Uint8Array<ArrayBuffer> {
  checkBits("pack", bits);
  const source = toBytes(codes, bits);
  checkCodes(source, bits);
  // Every order keeps the low bits of a byte, which are the two's complement of a signed code.
  const bytes = new Uint8Array(source.buffer as ArrayBuffer, source.byteOffset, source.length);
  const { order = "row-major" } = options;
  if (order === "awq" || order === "marlin") {
    const shape = weightShape("pack", codes.length, bits, options);
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    return new Uint8Array(weightOrders[order].pack(aligned, shape).buffer);
  }
  return packLines(bytes, layoutOf("pack", codes.length, bits, options));
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
  const { order = "row-major" } = options;
  if (order === "awq" || order === "marlin") {
    const shape = weightShape("unpack", count, bits, options);
    checkBytes(packed, count, { bits, expected: count / 2 });
    return weightOrders[order].unpack(new Uint32Array(packed.slice().buffer), shape);
  }
  const layout = layoutOf("unpack", count, bits, options);
  checkBytes(packed, count, { bits, expected: layout.lines * layout.lineBytes });
  return unpackLines(packed, layout);
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

/** Codes as bytes: themselves if they are, else a copy. */
function toBytes(codes: ArrayLike<number>, bits: number): CodeBytes {
  if (codes instanceof Uint8Array || codes instanceof Int8Array) return codes;
  let lowest = 0;
  for (let i = 0; i < codes.length; i++) lowest = Math.min(lowest, codes[i]);
  const bytes = lowest < 0 ? Int8Array.from(codes) : Uint8Array.from(codes);
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== codes[i]) {
      throw new RangeError(
        `Cannot pack ${codes[i]} in ${bits} bits: codes are integers of 0 to 255, or all of -128 to 127`,
      );
    }
  }
  return bytes;
}

function checkCodes(codes: CodeBytes, bits: number): void {
  const isSigned = codes instanceof Int8Array;
  const magnitudeBits = isSigned ? bits - 1 : bits;
  if (unionOf(codes, isSigned) >>> magnitudeBits !== 0) {
    const lowest = isSigned ? -(2 ** magnitudeBits) : 0;
    throw new RangeError(
      `Cannot pack as ${isSigned ? "int" : "uint"}${bits}: a code lies outside ${lowest} to ${
        2 ** magnitudeBits - 1
      }`,
    );
  }
}

/** All bits that are set in any code; of a negative code those of its complement, `-1 - code`. */
function unionOf(codes: CodeBytes, isSigned: boolean): number {
  const head = Math.min((4 - codes.byteOffset % 4) % 4, codes.length);
  const words = new Uint32Array(
    codes.buffer,
    head < codes.length ? codes.byteOffset + head : 0,
    (codes.length - head) >>> 2,
  );
  let four = 0;
  if (isSigned) {
    for (let i = 0; i < words.length; i++) four |= words[i] ^ (((words[i] >>> 7) & 0x01010101) * 255);
  } else for (let i = 0; i < words.length; i++) four |= words[i];

  let all = (four | (four >>> 8) | (four >>> 16) | (four >>> 24)) & 255;
  for (let i = 0; i < head; i++) all |= codes[i] < 0 ? -1 - codes[i] : codes[i];
  for (let i = head + 4 * words.length; i < codes.length; i++) all |= codes[i] < 0 ? -1 - codes[i] : codes[i];
  return all;
}

function checkBytes(
  packed: Uint8Array<ArrayBufferLike>,
  count: number,
  { bits, expected }: { bits: number; expected: number },
): void {
  if (packed.length !== expected) {
    throw new RangeError(
      `Cannot unpack ${count} codes of ${bits} bits from ${packed.length} bytes: they take ${expected}`,
    );
  }
}

function shapeOf(
  verb: string,
  count: number,
  shape: readonly [number, number] | undefined,
): readonly [number, number] {
  const [rows, columns] = shape ?? [1, count];
  if (!Number.isInteger(count) || count < 0 || rows * columns !== count) {
    throw new RangeError(`Cannot ${verb} ${count} codes as [${rows}, ${columns}]: the shape must hold them`);
  }
  return [rows, columns];
}

function weightShape(
  verb: string,
  count: number,
  bits: number,
  options: PackOptions,
): WeightShape {
  const order = options.order as "awq" | "marlin";
  if (bits !== 4) throw new RangeError(`Cannot ${verb} codes of ${bits} bits in ${order} order: it has 4`);
  checkFixed(verb, options);
  const [outputs, inputs] = shapeOf(verb, count, options.shape);
  const { outputMultiple, inputMultiple } = weightOrders[order];
  if (outputs % outputMultiple !== 0 || inputs % inputMultiple !== 0) {
    throw new RangeError(
      `Cannot ${verb} a [${outputs}, ${inputs}] weight in ${order} order: ` +
        `it must be a multiple of [${outputMultiple}, ${inputMultiple}]`,
    );
  }
  return { outputs, inputs };
}

/** The orders of whole weights say themselves along which dimension they pack, and need its shape. */
function checkFixed(verb: string, options: PackOptions): void {
  if (options.shape === undefined || options.axis !== undefined || options.rowBytes !== undefined) {
    throw new TypeError(
      `Cannot ${verb} in ${options.order} order: it takes the shape of a weight, and neither axis nor rowBytes`,
    );
  }
}

function layoutOf(verb: string, count: number, bits: number, options: PackOptions): LineLayout {
  const { order = "row-major", axis = 1, rowBytes } = options;
  if (!Object.hasOwn(lineOrders, order)) {
    const names = [...Object.keys(lineOrders), ...Object.keys(weightOrders)];
    throw new RangeError(`Cannot ${verb} in "${order}" order: the orders are ${names.join(", ")}`);
  }
  if (order === "gptq") checkFixed(verb, options);
  const [rows, columns] = shapeOf(verb, count, options.shape);
  return lineLayout(verb, { order: order as LineOrderName, bits, rows, columns, axis, lineBytes: rowBytes });
}
