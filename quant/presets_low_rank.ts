// Methods with a low-rank branch: SVDQuant, LoftQ and QLoRA.
import { nf2, nf4, nvfp4 } from "../formats/mod.ts";
import { perTokenActivations } from "./activations.ts";
import { blockFormatActivations, blockFormatRounder } from "./format_schemes.ts";
import { integerGrid } from "./integer_grid.ts";
import { blockMethod, loftqMethod, svdQuantMethod } from "./low_rank_methods.ts";
import type { LinearMethod } from "./method.ts";
import { gptqRounder, nearestRounder } from "./rounders.ts";

const groupSize = 64;
const grid = integerGrid({ bits: 4 });
const int4 = {
  rounder: nearestRounder({ grid, groupSize }),
  activations: perTokenActivations({ bits: 4, groupSize }),
};

/** SVDQuant (int4 in groups of 64, and NVFP4), LoftQ in 4 and 2 bits, QLoRA's doubly quantized NF4. */
export const lowRankMethods: readonly LinearMethod[] = [
  svdQuantMethod({ name: "svdquant-w4a4", ...int4 }),
  svdQuantMethod({
    name: "svdquant-gptq-w4a4",
    ...int4,
    finalRounder: gptqRounder({ grid, groupSize, staticGroups: true }),
  }),
  svdQuantMethod({
    name: "svdquant-nvfp4-w4a4",
    rounder: blockFormatRounder(nvfp4),
    activations: blockFormatActivations(nvfp4),
  }),
  loftqMethod({ name: "loftq-w4", format: nf4 }),
  loftqMethod({ name: "loftq-w2", format: nf2 }),
  blockMethod({ name: "qlora-w4" }),
];
