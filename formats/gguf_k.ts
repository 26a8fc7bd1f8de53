// The GGUF super-blocks of 256 values, Q4_K and Q6_K: quantized scales of sub-blocks under a float16 scale. Quantization
// follows llama.cpp's reference search without an importance matrix, in float32 step by step, so the bytes are the same.
import { type BlockFormat, defineBlockFormat } from "./block_format.ts";
import { readHalf, writeHalf } from "./_gguf.ts";
import { searchAffineScale, searchSymmetricScale } from "./_gguf_search.ts";
import { roundHalfEven } from "./round.ts";

const SUPER_BLOCK = 256;
const fround = Math.fround;

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}

/** Six-bit scale and minimum of sub-block `j` of Q4_K, from its 12 packed bytes. */
function readScaleAndMin(packed: Uint8Array<ArrayBufferLike>, j: number): [scale: number, min: number] {
  if (j < 4) return [packed[j] & 63, packed[j + 4] & 63];
  return [
    (packed[j + 4] & 15) | ((packed[j - 4] >>> 6) << 4),
    (packed[j + 4] >>> 4) | ((packed[j] >>> 6) << 4),
  ];
}

function writeScaleAndMin(packed: Uint8Array<ArrayBuffer>, j: number, scale: number, min: number): void {
  if (j < 4) {
    packed[j] |= scale;
    packed[j + 4] |= min;
  } else {
    packed[j + 4] |= (scale & 15) | ((min & 15) << 4);
    packed[j - 4] |= (scale >>> 4) << 6;
    packed[j] |= (min >>> 4) << 6;
  }
}

/**
 * GGUF Q4_K: 144 bytes per 256 values. Eight sub-blocks of 32 with 6-bit scales and minimums:
 * `value = d * scale * code - dmin * min`.
 */
export const q4_K: BlockFormat = defineBlockFormat({
  name: "q4_K",
  blockSize: SUPER_BLOCK,
  bytesPerBlock: 144,
  encodeBlock(values, bytes) {
    const codes = new Uint8Array(SUPER_BLOCK);
    const scales = new Float32Array(8);
    const mins = new Float32Array(8);
    for (let j = 0; j < 8; j++) {
      const found = searchAffineScale(
        values.subarray(32 * j, 32 * j + 32),
        codes.subarray(32 * j, 32 * j + 32),
      );
      scales[j] = found.scale;
      mins[j] = found.min;
    }
    const maxScale = Math.max(0, ...scales);
    const maxMin = Math.max(0, ...mins);
    const inverseScale = maxScale > 0 ? fround(63 / maxScale) : 0;
    const inverseMin = maxMin > 0 ? fround(63 / maxMin) : 0;
    const packed = bytes.subarray(4, 16);
    for (let j = 0; j < 8; j++) {
      const scale = Math.min(63, roundHalfEven(fround(inverseScale * scales[j])));
      const min = Math.min(63, roundHalfEven(fround(inverseMin * mins[j])));
      writeScaleAndMin(packed, j, scale, min);
    }
    const d = writeHalf(bytes, 0, fround(maxScale / 63));
    const dmin = writeHalf(bytes, 2, fround(maxMin / 63));
    for (let j = 0; j < 8; j++) {
      const [scale, min] = readScaleAndMin(packed, j);
      const step = fround(d * scale);
      if (step === 0) continue;
      const shift = fround(dmin * min);
      for (let i = 32 * j; i < 32 * j + 32; i++) {
        codes[i] = clamp(roundHalfEven(fround(fround(values[i] + shift) / step)), 0, 15);
      }
    }
    for (let i = 0; i < 128; i++) {
      const low = (i >>> 5) * 64 + (i & 31);
      bytes[16 + i] = codes[low] | (codes[low + 32] << 4);
    }
  },
  decodeBlock(bytes, values) {
    const d = readHalf(bytes, 0);
    const dmin = readHalf(bytes, 2);
    const packed = bytes.subarray(4, 16);
    for (let j = 0; j < 8; j++) {
      const [scale, min] = readScaleAndMin(packed, j);
      const step = fround(d * scale);
      const shift = fround(dmin * min);
      for (let l = 0; l < 32; l++) {
        const byte = bytes[16 + (j >>> 1) * 32 + l];
        const code = j % 2 === 0 ? byte & 15 : byte >>> 4;
        values[32 * j + l] = fround(step * code) - shift;
      }
    }
  },
});

/** Where Q6_K keeps element `i`: byte and shift of its low 4 and of its high 2 bits. */
function q6Place(i: number): { low: number; lowShift: number; high: number; highShift: number } {
  const half = i >>> 7;
  const quarter = (i >>> 5) & 3;
  const l = i & 31;
  return {
    low: 64 * half + 32 * (quarter & 1) + l,
    lowShift: 4 * (quarter >>> 1),
    high: 128 + 32 * half + l,
    highShift: 2 * quarter,
  };
}

/** GGUF Q6_K: 210 bytes per 256 values. Sixteen sub-blocks of 16 with int8 scales: `value = d * scale * (code - 32)`. */
export const q6_K: BlockFormat = defineBlockFormat({
  name: "q6_K",
  blockSize: SUPER_BLOCK,
  bytesPerBlock: 210,
  encodeBlock(values, bytes) {
    const codes = new Uint8Array(SUPER_BLOCK);
    const scales = new Float32Array(16);
    for (let j = 0; j < 16; j++) {
      scales[j] = searchSymmetricScale(
        values.subarray(16 * j, 16 * j + 16),
        codes.subarray(16 * j, 16 * j + 16),
      );
    }
    let extreme = 0;
    for (const scale of scales) if (Math.abs(scale) > Math.abs(extreme)) extreme = scale;
    if (Math.abs(extreme) < fround(1e-15)) return;

    const inverse = fround(-128 / extreme);
    const d = writeHalf(bytes, 208, fround(1 / inverse));
    for (let j = 0; j < 16; j++) {
      const scale = Math.min(127, roundHalfEven(fround(inverse * scales[j])));
      bytes[192 + j] = scale;
      const step = fround(d * scale);
      if (step === 0) continue;
      for (let i = 16 * j; i < 16 * j + 16; i++) {
        codes[i] = 32 + clamp(roundHalfEven(fround(values[i] / step)), -32, 31);
      }
    }
    for (let i = 0; i < SUPER_BLOCK; i++) {
      const place = q6Place(i);
      bytes[place.low] |= (codes[i] & 15) << place.lowShift;
      bytes[place.high] |= (codes[i] >>> 4) << place.highShift;
    }
  },
  decodeBlock(bytes, values) {
    const d = readHalf(bytes, 208);
    for (let i = 0; i < SUPER_BLOCK; i++) {
      const place = q6Place(i);
      const low = (bytes[place.low] >>> place.lowShift) & 15;
      const high = (bytes[place.high] >>> place.highShift) & 3;
      const scale = bytes[192 + (i >>> 4)] << 24 >> 24;
      values[i] = fround(d * scale) * ((low | (high << 4)) - 32);
    }
  },
});
