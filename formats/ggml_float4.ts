// GGUF's own MXFP4 and NVFP4. They differ from the OCP and NVIDIA rules in layout (element j pairs with j + half) and in
// ties (the smaller magnitude wins), and GGUF's NVFP4 keeps the tensor scale elsewhere.
import { type BlockFormat, defineBlockFormat } from "./block_format.ts";
import { defineFloat } from "./float.ts";
import { float4E2M1, float8E4M3 } from "./floats.ts";
import { readHalves, signedExtreme, writeHalves } from "./_gguf.ts";

const fround = Math.fround;

/** Halfway between the magnitudes of float4E2M1; a magnitude on one of them takes the smaller. */
const MIDDLES = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5];

/** The nearest codes at a scale, as ggml finds them: zero is always code 0, and everything is at scale 0. */
function nearestCodes(values: Float32Array<ArrayBufferLike>, scale: number): Uint8Array<ArrayBuffer> {
  const codes = new Uint8Array(values.length);
  if (scale === 0) return codes;
  for (let i = 0; i < codes.length; i++) {
    const magnitude = Math.abs(values[i]);
    let code = 0;
    while (code < MIDDLES.length && magnitude > MIDDLES[code] * scale) code++;
    codes[i] = code > 0 && values[i] < 0 ? code + 8 : code;
  }
  return codes;
}

/** GGUF MXFP4: 17 bytes per 32 values. The scale's exponent comes from a float32 logarithm, as in ggml. */
export const ggmlMxfp4: BlockFormat = defineBlockFormat({
  name: "ggmlMxfp4",
  blockSize: 32,
  bytesPerBlock: 17,
  encodeBlock(values, bytes) {
    const absmax = Math.abs(signedExtreme(values));
    bytes[0] = absmax > 0 ? Math.max(0, Math.floor(fround(Math.log2(absmax))) - 2 + 127) : 0;
    writeHalves(bytes, 1, nearestCodes(values, 2 ** (bytes[0] - 127)));
  },
  decodeBlock(bytes, values) {
    const scale = 2 ** (bytes[0] - 127);
    for (let j = 0; j < 32; j++) values[j] = float4E2M1.decode(readHalves(bytes, 1, j)) * scale;
  },
});

/** E4M3 with ties away from zero, for scales. */
const scaleFormat = defineFloat({
  exponentBits: 4,
  mantissaBits: 3,
  specials: "finite-nan",
  rounding: "away",
});

/** The code of a scale, at most 448; ggml never rounds a subnormal up to the smallest normal number, code 8. */
function encodeScale(value: number): number {
  return value < 2 ** -6 ? Math.min(scaleFormat.encode(value), 7) : scaleFormat.encode(value);
}

/** GGUF NVFP4: 36 bytes per 64 values, four sub-blocks of 16. The tensor scale, if any, is a tensor of its own. */
export const ggmlNvfp4: BlockFormat = defineBlockFormat({
  name: "ggmlNvfp4",
  blockSize: 64,
  bytesPerBlock: 36,
  encodeBlock(values, bytes) {
    for (let sub = 0; sub < 4; sub++) {
      const part = values.subarray(16 * sub, 16 * sub + 16);
      bytes[sub] = encodeScale(fround(Math.abs(signedExtreme(part)) / 6));
      writeHalves(bytes, 4 + 8 * sub, nearestCodes(part, float8E4M3.decode(bytes[sub])), 8);
    }
  },
  decodeBlock(bytes, values) {
    for (let i = 0; i < 64; i++) {
      const sub = i >>> 4;
      const scale = bytes[sub] === 0x7f ? 0 : float8E4M3.decode(bytes[sub]);
      values[i] = float4E2M1.decode(readHalves(bytes, 4 + 8 * sub, i & 15, 8)) * scale;
    }
  },
});
