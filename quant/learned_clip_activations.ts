// Activations in a static range whose ends are learned on calibration inputs (the quantizer of arXiv 2404.03605).
import { createAdam } from "./adam.ts";
import { type ClipRange, fakeQuantizeClipped, fakeQuantizeClippedBackward } from "./learned_clip.ts";
import { restoreColumns, withoutColumns } from "./_matrix_ops.ts";
import { createMatrix } from "./matrix.ts";
import type { ActivationScheme } from "./recipe.ts";
import { sampleRows } from "./_sample_rows.ts";

/** Options of {@linkcode learnedClipActivations}. */
export interface LearnedClipActivationsOptions {
  /** Bits of a code, 2 to 8. */
  readonly bits: number;
  /** Descent steps. Default 100. */
  readonly steps?: number;
  /** Sampled tokens. Default 64. */
  readonly samples?: number;
}

/**
 * Static quantization of all activations of a layer to one range, whose two ends are learned to make the squared error on
 * the sampled inputs small, starting from the range of those inputs.
 *
 * @param options Bits and effort.
 * @returns The scheme. Outlier columns are left as they are and do not count.
 * @throws {RangeError} If bits are not 2 to 8.
 */
export function learnedClipActivations(options: LearnedClipActivationsOptions): ActivationScheme {
  const { bits, samples = 64 } = options;
  if (!Number.isInteger(bits) || bits < 2 || bits > 8) {
    throw new RangeError(`Cannot quantize activations to ${bits} bits: it must be 2 to 8`);
  }
  return {
    name: `int${bits} learned range`,
    bits,
    prepare({ inputs }) {
      const sample = sampleRows(inputs, samples);
      const ranges = new Map<string, ClipRange>();
      return (input, outliers) => {
        // The range depends on the outliers alone, which do not change between calls.
        const key = outliers.join();
        const range = ranges.get(key) ?? learnRange(withoutColumns(sample, outliers).data, options);
        ranges.set(key, range);
        const data = fakeQuantizeClipped(input.data, range);
        return restoreColumns(createMatrix(input.rows, input.cols, data), input, outliers);
      };
    },
  };
}

/**
 * Learns the ends of a range by descent on the squared error of what it quantizes, and keeps the best.
 *
 * @param values The values to quantize.
 * @param options Bits and steps.
 * @returns The range; the full one at worst.
 */
export function learnRange(values: Float32Array, options: LearnedClipActivationsOptions): ClipRange {
  const { bits, steps = 100 } = options;
  const ends = new Float64Array([Math.min(0, ...minMax(values)), Math.max(0, ...minMax(values))]);
  // Nothing but zeros: a range of which 0 is a step.
  if (ends[0] === ends[1]) return { low: -1, high: 1 - 2 ** (1 - bits), bits };
  const width = ends[1] - ends[0];
  const adam = createAdam(2);
  let best: { range: ClipRange; loss: number } | undefined;
  for (let step = 0; step <= steps; step++) {
    const range = { low: ends[0], high: ends[1], bits };
    const gradient = fakeQuantizeClipped(values, range).map((value, i) => 2 * (value - values[i]));
    const loss = gradient.reduce((sum, g) => sum + g * g, 0);
    if (best === undefined || loss < best.loss) best = { range, loss };
    const { low, high } = fakeQuantizeClippedBackward(values, gradient, range);
    adam.step(ends, [low, high], 0.02 * width * (1 - step / (steps + 1)));
    if (!(ends[1] > ends[0])) break;
  }
  return best!.range;
}

function minMax(values: Float32Array): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}
