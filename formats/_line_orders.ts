// Orders that pack a line of codes by itself: the dense stream, nibbles high first, and codes spread over bit planes. Codes
// are words of four bytes, 32 codes or a multiple of them at a time, and so is what they are packed into.
import { packStream, unpackStream } from "./_bit_stream.ts";

/** How the codes of one line become words. */
export interface LineOrder {
  /** Widths it exists for. */
  readonly widths: readonly number[];
  /** Bytes of the unit that lies together when lines are stored side by side. */
  readonly unitBytes: 1 | 4;
  /** A line holds a multiple of this many codes, unless it is padded. */
  group(bits: number): number;
  /** Fewest bytes that hold a line, padded to whole units. */
  lineBytes(length: number, bits: number): number;
  /** Fills `packed` from `codes`, whose bits above the width are dropped. */
  pack(codes: Uint32Array<ArrayBuffer>, bits: number, packed: Uint32Array<ArrayBuffer>): void;
  /** Fills `codes` from `packed`. */
  unpack(packed: Uint32Array<ArrayBuffer>, bits: number, codes: Uint32Array<ArrayBuffer>): void;
}

const ALL_WIDTHS = [1, 2, 3, 4, 5, 6, 7, 8];

/** Fewest codes of a width that fill units of so many bits. */
function codesPerUnit(bits: number, unitBits: number): number {
  let count = 1;
  while (count * bits % unitBits !== 0) count++;
  return count;
}

function stream(unitBytes: 1 | 4, widths: readonly number[]): LineOrder {
  return {
    widths,
    unitBytes,
    group: (bits) => codesPerUnit(bits, 8 * unitBytes),
    lineBytes: (length, bits) => Math.ceil(length * bits / (8 * unitBytes)) * unitBytes,
    pack: packStream,
    unpack: unpackStream,
  };
}

/** Byte k holds code 2k in its high nibble and code 2k + 1 in its low one. */
const highNibbleFirst: LineOrder = {
  widths: [4],
  unitBytes: 1,
  group: () => 2,
  lineBytes: (length) => Math.ceil(length / 2),
  pack(codes, _bits, packed) {
    for (let o = 0; o < packed.length; o++) {
      packed[o] = squeezeHighFirst(codes[2 * o]) | (squeezeHighFirst(codes[2 * o + 1]) << 16);
    }
  },
  unpack(packed, _bits, codes) {
    for (let o = 0; o < packed.length; o++) {
      codes[2 * o] = spreadHighFirst(packed[o] & 0xffff);
      codes[2 * o + 1] = spreadHighFirst(packed[o] >>> 16);
    }
  },
};

/** Four codes in bytes to two bytes. */
function squeezeHighFirst(four: number): number {
  const pairs = ((four << 4) & 0x00f000f0) | ((four >>> 8) & 0x000f000f);
  return (pairs & 0xff) | (pairs >>> 8);
}

function spreadHighFirst(two: number): number {
  const pairs = (two & 0xff) | ((two & 0xff00) << 8);
  return ((pairs & 0x00f000f0) >>> 4) | ((pairs & 0x000f000f) << 8);
}

/**
 * Blocks of `stride` words: byte j of a block holds codes j, j + 4 stride, j + 8 stride, ... from the lowest bits up, so
 * that one mask takes neighbors out of as many bytes.
 */
function planes(stride: number, widths: readonly number[]): LineOrder {
  return {
    widths,
    unitBytes: stride === 1 ? 4 : 1,
    group: (bits) => stride * 32 / bits,
    lineBytes: (length, bits) => Math.ceil(length * bits / (32 * stride)) * 4 * stride,
    pack(codes, bits, packed) {
      const mask = (2 ** bits - 1) * 0x01010101;
      const count = 8 / bits;
      for (let o = 0; o < packed.length; o++) {
        const first = o + (count - 1) * (o - o % stride);
        let word = codes[first] & mask;
        for (let plane = 1; plane < count; plane++) {
          word |= (codes[first + plane * stride] & mask) << (plane * bits);
        }
        packed[o] = word;
      }
    },
    unpack(packed, bits, codes) {
      const mask = (2 ** bits - 1) * 0x01010101;
      const count = 8 / bits;
      for (let o = 0; o < packed.length; o++) {
        const first = o + (count - 1) * (o - o % stride);
        for (let plane = 0; plane < count; plane++) {
          codes[first + plane * stride] = (packed[o] >>> (plane * bits)) & mask;
        }
      }
    },
  };
}

/** The orders that pack lines. */
export type LineOrderName =
  | "row-major"
  | "bitsandbytes"
  | "gguf"
  | "interleaved"
  | "compressed-tensors"
  | "gptq";

/** The line orders by name. */
export const lineOrders: Readonly<Record<LineOrderName, LineOrder>> = {
  "row-major": stream(1, ALL_WIDTHS),
  "bitsandbytes": highNibbleFirst,
  "gguf": planes(4, [4]),
  "interleaved": planes(1, [1, 2, 4, 8]),
  "compressed-tensors": stream(4, ALL_WIDTHS),
  "gptq": stream(4, [2, 3, 4, 8]),
};
