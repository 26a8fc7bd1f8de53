// GGUF IQ4_NL: 32 values in a codebook of sixteen uneven levels under a float16 scale.
import { type BlockFormat, defineBlockFormat } from "./block_format.ts";
import { iq4nlLevels } from "./codebook.ts";
import { readHalf, readHalves, reciprocal, signedExtreme, writeHalf, writeHalves } from "./_gguf.ts";
import { SMALLEST_BLOCK } from "./_gguf_search.ts";

const BLOCK = 32;
const TRIALS = 7;
const fround = Math.fround;

/**
 * The scale that makes `sum x^2 (x - scale * level)^2` small: fifteen trial scales around the one that takes the value of
 * largest magnitude to the lowest level, each refitted by least squares. Float32 in the order of llama.cpp.
 */
function searchScale(values: Float32Array<ArrayBufferLike>): number {
  const extreme = signedExtreme(values);
  if (Math.abs(extreme) < SMALLEST_BLOCK) return 0;
  const first = fitScale(values, fround(1 / fround(-extreme / iq4nlLevels.min)));
  let scale = first.scale;
  let best = first.gain;
  for (let trial = -TRIALS; trial <= TRIALS; trial++) {
    const { sumXL, sumLL, ...fit } = fitScale(values, fround((trial + iq4nlLevels.min) / extreme));
    if (sumLL > 0 && fround(sumXL * sumXL) > fround(best * sumLL)) {
      scale = fit.scale;
      best = fit.gain;
    }
  }
  return scale;
}

function fitScale(
  values: Float32Array<ArrayBufferLike>,
  inverse: number,
): { sumXL: number; sumLL: number; scale: number; gain: number } {
  let sumXL = 0;
  let sumLL = 0;
  for (const value of values) {
    const level = iq4nlLevels.decode(iq4nlLevels.encode(fround(inverse * value)));
    const weighted = fround(fround(value * value) * level);
    sumXL = fround(sumXL + fround(weighted * value));
    sumLL = fround(sumLL + fround(weighted * level));
  }
  const scale = fround(sumXL / sumLL);
  return { sumXL, sumLL, scale, gain: fround(scale * sumXL) };
}

/** GGUF IQ4_NL: 18 bytes per 32 values. Quantized as llama.cpp does for model files, without an importance matrix. */
export const iq4_nl: BlockFormat = defineBlockFormat({
  name: "iq4_nl",
  blockSize: BLOCK,
  bytesPerBlock: 18,
  encodeBlock(values, bytes) {
    const scale = searchScale(values);
    const inverse = reciprocal(scale);
    writeHalf(bytes, 0, scale);
    writeHalves(bytes, 2, Array.from(values, (value) => iq4nlLevels.encode(fround(inverse * value))));
  },
  decodeBlock(bytes, values) {
    const scale = readHalf(bytes, 0);
    for (let j = 0; j < BLOCK; j++) values[j] = scale * iq4nlLevels.decode(readHalves(bytes, 2, j));
  },
});
