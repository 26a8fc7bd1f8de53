// Orders that pack a line of codes by itself: the dense stream, nibbles high first, and codes spread over bit planes.
import { packStream, unpackStream } from "./_bit_stream.ts";

/** How the codes of one line become bytes. */
export interface LineOrder {
  /** Widths it exists for. */
  readonly widths: readonly number[];
  /** Bytes of the unit that lies together when lines are stored side by side. */
  readonly unitBytes: 1 | 4;
  /** A line holds a multiple of this many codes, unless it is padded. */
  group(bits: number): number;
  /** Fills `packed`, which is zero, from `codes`. */
  pack(codes: Uint8Array<ArrayBuffer>, bits: number, packed: Uint8Array<ArrayBuffer>): void;
  /** Fills `codes` from `packed`. */
  unpack(packed: Uint8Array<ArrayBufferLike>, bits: number, codes: Uint8Array<ArrayBuffer>): void;
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
    pack: packStream,
    unpack: unpackStream,
  };
}

/** Byte k holds code 2k in its high nibble and code 2k + 1 in its low one. */
const highNibbleFirst: LineOrder = {
  widths: [4],
  unitBytes: 1,
  group: () => 2,
  pack(codes, _bits, packed) {
    const whole = codes.length >>> 1;
    for (let k = 0; k < whole; k++) packed[k] = ((codes[2 * k] & 15) << 4) | (codes[2 * k + 1] & 15);
    if (codes.length % 2 === 1) packed[whole] = (codes[codes.length - 1] & 15) << 4;
  },
  unpack(packed, _bits, codes) {
    const whole = codes.length >>> 1;
    for (let k = 0; k < whole; k++) {
      codes[2 * k] = packed[k] >>> 4;
      codes[2 * k + 1] = packed[k] & 15;
    }
    if (codes.length % 2 === 1) codes[codes.length - 1] = packed[whole] >>> 4;
  },
};

/**
 * Blocks of `stride` bytes: byte j holds codes j, j + stride, j + 2 stride, ... from the lowest bits up, so that one mask
 * takes `stride` neighbors out of as many bytes.
 */
function planes(stride: number, widths: readonly number[]): LineOrder {
  return {
    widths,
    unitBytes: stride === 4 ? 4 : 1,
    group: (bits) => stride * 8 / bits,
    pack(codes, bits, packed) {
      if (bits === 4) return packHalves(codes, stride, packed);
      const mask = 2 ** bits - 1;
      for (let i = 0; i < codes.length; i++) {
        const block = Math.floor(i * bits / (8 * stride));
        const within = i - block * 8 * stride / bits;
        packed[block * stride + within % stride] |= (codes[i] & mask) << (bits * Math.floor(within / stride));
      }
    },
    unpack(packed, bits, codes) {
      if (bits === 4) return unpackHalves(packed, stride, codes);
      const mask = 2 ** bits - 1;
      for (let i = 0; i < codes.length; i++) {
        const block = Math.floor(i * bits / (8 * stride));
        const within = i - block * 8 * stride / bits;
        const byte = packed[block * stride + within % stride];
        codes[i] = (byte >>> (bits * Math.floor(within / stride))) & mask;
      }
    },
  };
}

function packHalves(codes: Uint8Array<ArrayBuffer>, half: number, packed: Uint8Array<ArrayBuffer>): void {
  for (let i = 0, o = 0; i < codes.length; i += 2 * half) {
    for (let j = i; j < i + half; j++, o++) packed[o] = (codes[j] & 15) | ((codes[j + half] & 15) << 4);
  }
}

function unpackHalves(
  packed: Uint8Array<ArrayBufferLike>,
  half: number,
  codes: Uint8Array<ArrayBuffer>,
): void {
  for (let i = 0, o = 0; i < codes.length; i += 2 * half) {
    for (let j = i; j < i + half; j++, o++) {
      codes[j] = packed[o] & 15;
      codes[j + half] = packed[o] >>> 4;
    }
  }
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
  "gguf": planes(16, [4]),
  "interleaved": planes(4, [1, 2, 4, 8]),
  "compressed-tensors": stream(4, ALL_WIDTHS),
  "gptq": stream(4, [2, 3, 4, 8]),
};
