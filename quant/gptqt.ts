// GPTQT (arXiv 2407.02891): integers of a few more bits first, then binary codes among those integers, rounded with GPTQ.
// The paper leaves the intermediate width, the search range and the choice of codes open; they are options here.
import {
  type BinaryCoding,
  binaryLevels,
  fitBinaryCoding,
  integerCoding,
  storedCoding,
} from "./binary_coding.ts";
import type { FittedGrid, Grid } from "./grid.ts";
import { integerGrid } from "./integer_grid.ts";
import { levelGrid } from "./level_grid.ts";
import { assignLevels } from "./_assign_levels.ts";
import { sortedRuns } from "./_sorted_runs.ts";

/** How codes are found. */
export interface GptqtOptions {
  /** Bits of a code: 2 or 3 in the paper. */
  readonly bits: number;
  /** Bits of the intermediate integers, at least `bits`. Default 5. */
  readonly intermediateBits?: number;
  /** Scales tried for the intermediate integers, from half to one and a half times theirs. Default 20. */
  readonly scales?: number;
}

/** A binary code whose levels are integers of more bits: `scale * (integer - zero)`. */
interface IntegerCode {
  /** Half-integers: sums of all of them with signs, plus `offset`, are integers. */
  readonly alpha: Float64Array;
  readonly offset: number;
}

/** The binary code among the integers `0..top` that lies next to one of real values. */
function nearestIntegerCode({ alpha, offset }: BinaryCoding, top: number): IntegerCode {
  const halves = alpha.map((a) => Math.max(0.5, Math.round(2 * Math.abs(a)) / 2));
  let reach = halves.reduce((sum, a) => sum + a, 0);
  while (2 * reach > top) {
    const largest = halves.indexOf(Math.max(...halves));
    if (halves[largest] <= 0.5) break;
    halves[largest] -= 0.5;
    reach -= 0.5;
  }
  // The lowest level, offset - reach, must be an integer, and all levels must lie in 0..top.
  const lowest = Math.min(top - 2 * reach, Math.max(0, Math.round(offset - reach)));
  return { alpha: halves, offset: lowest + reach };
}

/**
 * The binary codes that GPTQT would search for a group: for each intermediate scale the code of integers next to the best
 * real-valued one, and last the plain k-bit integers, so that the choice is never worse than them.
 *
 * @param values Weights of the group.
 * @param options Widths and scales.
 * @param importance How much an error in each weight matters.
 * @returns Codes merged to real values: `alpha * scale`, `scale * (offset - zero)`.
 */
export function gptqtCandidates(
  values: Float32Array,
  options: GptqtOptions,
  importance?: Float32Array | Float64Array,
): BinaryCoding[] {
  const { bits, intermediateBits = 5, scales = 20 } = options, top = 2 ** intermediateBits - 1;
  const { scale, zero } = integerGrid({ bits: intermediateBits, mapping: "asym", scaleBits: 32 }).fit(values);
  const fitted = fitBinaryCoding(values, bits, { weights: importance });
  const found: BinaryCoding[] = [];
  for (let i = 0; i < scales; i++) {
    const s = scale * (scales === 1 ? 1 : 0.5 + i / (scales - 1)), z = Math.round(scale * zero / s);
    const inIntegers = { alpha: fitted.alpha.map((a) => a / s), offset: fitted.offset / s + z };
    const code = nearestIntegerCode(inIntegers, top);
    found.push({ alpha: Float64Array.from(code.alpha, (a) => a * s), offset: s * (code.offset - z) });
  }
  found.push(integerCoding(values, bits));
  return found;
}

/**
 * GPTQT's grid: of all candidate codes the one with the least error weighed by importance. Round with GPTQ.
 *
 * @param options Widths and scales.
 * @returns The grid.
 * @throws {RangeError} If there are fewer intermediate bits than bits.
 */
export function gptqtGrid(options: GptqtOptions): Grid {
  const { bits, intermediateBits = 5 } = options;
  if (!(bits >= 1 && intermediateBits >= bits && intermediateBits <= 8)) {
    throw new RangeError(
      `Cannot pick binary codes of ${bits} bits among integers of ${intermediateBits} bits`,
    );
  }
  return {
    name: `gptqt${bits}`,
    bits,
    groupBits: 16 * (bits + 1),
    fit(values, importance): FittedGrid {
      const runs = sortedRuns(values, importance),
        candidates = gptqtCandidates(values, options, importance).map(storedCoding);
      const errors = candidates.map((coding) => assignLevels(runs, binaryLevels(coding)).error);
      return levelGrid(binaryLevels(candidates[errors.indexOf(Math.min(...errors))]));
    },
  };
}
