// The GGUF formats with one scale per 32 values: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. Arithmetic is float32 step by step and each
// rounding rule is that of llama.cpp's reference, so the bytes are the same.
import { type BlockFormat, defineBlockFormat } from "./block_format.ts";
import { readHalf, readHalves, reciprocal, signedExtreme, writeHalf, writeHalves } from "./_gguf.ts";
import { roundHalfAway } from "./round.ts";

const BLOCK = 32;
const fround = Math.fround;

/** Bit j of the 32-bit word at `at` is bit 4 of code j. */
function writeFifthBits(bytes: Uint8Array<ArrayBuffer>, at: number, codes: Uint8Array<ArrayBuffer>): void {
  for (let j = 0; j < BLOCK; j++) bytes[at + (j >>> 3)] |= (codes[j] >>> 4) << (j & 7);
}

function readFifthBit(bytes: Uint8Array<ArrayBufferLike>, at: number, j: number): number {
  return ((bytes[at + (j >>> 3)] >>> (j & 7)) & 1) << 4;
}

/**
 * Q4_0 and Q5_0: `(code - zero) * d`, where `d` takes the value of largest magnitude to the lowest level, code 0, and so may
 * be negative. Codes are computed with the float32 `d`, and truncate `x / d + zero + 1/2`.
 */
function defineSymmetric(name: string, bits: 4 | 5): BlockFormat {
  const zero = 2 ** (bits - 1);
  const largest = 2 ** bits - 1;
  const codesAt = bits === 4 ? 2 : 6;
  return defineBlockFormat({
    name,
    blockSize: BLOCK,
    bytesPerBlock: codesAt + 16,
    encodeBlock(values, bytes) {
      const scale = fround(signedExtreme(values) / -zero);
      const inverse = reciprocal(scale);
      const codes = new Uint8Array(BLOCK);
      for (let j = 0; j < BLOCK; j++) {
        codes[j] = Math.min(largest, fround(fround(values[j] * inverse) + zero + 0.5));
      }
      writeHalf(bytes, 0, scale);
      if (bits === 5) writeFifthBits(bytes, 2, codes);
      writeHalves(bytes, codesAt, codes);
    },
    decodeBlock(bytes, values) {
      const scale = readHalf(bytes, 0);
      for (let j = 0; j < BLOCK; j++) {
        const code = readHalves(bytes, codesAt, j) | (bits === 5 ? readFifthBit(bytes, 2, j) : 0);
        values[j] = (code - zero) * scale;
      }
    },
  });
}

/** Q4_1 and Q5_1: `code * d + m`, `m` the minimum; codes truncate `(x - m) / d + 1/2` with the float32 `d` and `m`. */
function defineAffine(name: string, bits: 4 | 5): BlockFormat {
  const largest = 2 ** bits - 1;
  const codesAt = bits === 4 ? 4 : 8;
  return defineBlockFormat({
    name,
    blockSize: BLOCK,
    bytesPerBlock: codesAt + 16,
    encodeBlock(values, bytes) {
      let min = values[0];
      let max = values[0];
      for (const value of values) {
        if (value < min) min = value;
        if (value > max) max = value;
      }
      const scale = fround(fround(max - min) / largest);
      const inverse = reciprocal(scale);
      const codes = new Uint8Array(BLOCK);
      for (let j = 0; j < BLOCK; j++) {
        codes[j] = Math.min(largest, fround(fround(fround(values[j] - min) * inverse) + 0.5));
      }
      writeHalf(bytes, 0, scale);
      writeHalf(bytes, 2, min);
      if (bits === 5) writeFifthBits(bytes, 4, codes);
      writeHalves(bytes, codesAt, codes);
    },
    decodeBlock(bytes, values) {
      const scale = readHalf(bytes, 0);
      const min = readHalf(bytes, 2);
      for (let j = 0; j < BLOCK; j++) {
        const code = readHalves(bytes, codesAt, j) | (bits === 5 ? readFifthBit(bytes, 4, j) : 0);
        values[j] = fround(code * scale) + min;
      }
    },
  });
}

/** GGUF Q4_0: 18 bytes per 32 values, a float16 scale and 4-bit codes around 8. */
export const q4_0: BlockFormat = defineSymmetric("q4_0", 4);
/** GGUF Q4_1: 20 bytes per 32 values, float16 scale and minimum. */
export const q4_1: BlockFormat = defineAffine("q4_1", 4);
/** GGUF Q5_0: 22 bytes per 32 values, the fifth bits apart. */
export const q5_0: BlockFormat = defineSymmetric("q5_0", 5);
/** GGUF Q5_1: 24 bytes per 32 values, float16 scale and minimum. */
export const q5_1: BlockFormat = defineAffine("q5_1", 5);

/** GGUF Q8_0: 34 bytes per 32 values, a float16 scale and int8 codes that round half away from zero. */
export const q8_0: BlockFormat = defineBlockFormat({
  name: "q8_0",
  blockSize: BLOCK,
  bytesPerBlock: 34,
  encodeBlock(values, bytes) {
    const scale = fround(Math.abs(signedExtreme(values)) / 127);
    const inverse = reciprocal(scale);
    writeHalf(bytes, 0, scale);
    for (let j = 0; j < BLOCK; j++) bytes[2 + j] = roundHalfAway(fround(values[j] * inverse));
  },
  decodeBlock(bytes, values) {
    const scale = readHalf(bytes, 0);
    for (let j = 0; j < BLOCK; j++) values[j] = (bytes[2 + j] << 24 >> 24) * scale;
  },
});
