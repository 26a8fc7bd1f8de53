// COMET's mixed-precision activations as a method.
import { mixedBlockActivations, outlierPermutationFinder } from "./fmpq.ts";
import { integerGrid } from "./integer_grid.ts";
import type { LinearMethod } from "./method.ts";
import { chooseMethod, composeMethod } from "./recipe.ts";
import { gptqRounder } from "./rounders.ts";

/**
 * FMPQ: channels permuted, activation blocks of 4 or 8 bits, int4 weights in the same blocks by GPTQ. Blocks are COMET's 128
 * channels where a layer has at least 16 of them, else a sixteenth of its inputs.
 */
export const mixedMethods: readonly LinearMethod[] = [{
  ...chooseMethod("fmpq-w4ax", ({ weight }) => {
    const blockSize = Math.max(8, Math.min(128, Math.floor(weight.cols / 16)));
    return composeMethod({
      name: "fmpq-w4ax",
      transforms: [outlierPermutationFinder({ blockSize })],
      rounder: gptqRounder({
        grid: integerGrid({ bits: 4 }),
        groupSize: Math.max(64, blockSize),
        staticGroups: true,
      }),
      activations: mixedBlockActivations({ blockSize }),
    });
  }),
  weightBits: 4,
  activationBits: 4,
}];
