// Methods that quantize weights and activations: SmoothQuant, LLM.int8(), FPTQ, DGQ, OmniQuant and QUIK as recipes.
import { perTokenActivations } from "./activations.ts";
import { outlierColumns } from "./column_split.ts";
import { dgqRounder } from "./dgq.ts";
import { fptq } from "./fptq.ts";
import { integerGrid } from "./integer_grid.ts";
import { learnedEquivalence } from "./learned_equivalence.ts";
import { learnedRangeRounder } from "./learned_range.ts";
import { llmInt8 } from "./llm_int8.ts";
import type { LinearMethod } from "./method.ts";
import { widenedOutlierCount } from "./outliers.ts";
import { chooseMethod, composeMethod } from "./recipe.ts";
import { gptqRounder, nearestRounder } from "./rounders.ts";
import { percentileSmooth, smoothQuant } from "./smooth.ts";

const int4 = nearestRounder({ grid: integerGrid({ bits: 4 }) });
const int8 = nearestRounder({ grid: integerGrid({ bits: 8 }) });
const token4 = perTokenActivations({ bits: 4 });
const token8 = perTokenActivations({ bits: 8 });

/** Parts of {@linkcode quikMethod}. */
export interface QuikMethodOptions {
  /** The method's name. */
  readonly name: string;
  /** Bits of weights and activations. */
  readonly bits: 4 | 8;
  /** Outlier columns of a layer as wide as the residual stream. Default 16. */
  readonly outliers?: number;
  /** Layers with that no outliers are kept below; see {@linkcode OutlierOptions}. Default 0. */
  readonly threshold?: number;
  /** Layers computed in 8 bits with widened outliers. Default: down projections and their like. */
  readonly eightBit?: RegExp;
  /** Default `gptq`. */
  readonly rounding?: "gptq" | "nearest";
}

/**
 * QUIK (arXiv 2310.09259) as a recipe: outlier columns, clipped symmetric weights, GPTQ, per-token asymmetric activations,
 * 8 bits and more outliers for down projections.
 *
 * @param options Bits and outliers.
 * @returns The method.
 */
export function quikMethod(options: QuikMethodOptions): LinearMethod {
  const { name, outliers = 16, threshold, rounding = "gptq" } = options;
  const { eightBit = /(down_proj|fc2|dense_4h_to_h)$/ } = options;
  const method = chooseMethod(name, (layer) => {
    const wide = eightBit.test(layer.name), bits = wide ? 8 : options.bits;
    const { cols: inputs, rows: hidden } = layer.weight;
    const count = wide ? widenedOutlierCount(outliers, { inputs, hidden }) : outliers;
    // A QUIK layer stores a float32 scale and a float32 row sum per output.
    const grid = integerGrid({ bits, clip: true, scaleBits: 64 });
    return composeMethod({
      name,
      split: outlierColumns({ count, bits, baseMultiple: 2, ...(threshold ? { threshold } : {}) }),
      rounder: rounding === "gptq" ? gptqRounder({ grid, ascendingAbsmax: true }) : nearestRounder({ grid }),
      activations: perTokenActivations({ bits, mapping: "asymmetric" }),
    });
  });
  return { ...method, weightBits: options.bits, activationBits: options.bits };
}

/** Methods that quantize weights and activations. */
export const weightActivationMethods: readonly LinearMethod[] = [
  composeMethod({
    name: "smoothquant-w8a8",
    transforms: [smoothQuant()],
    rounder: int8,
    activations: token8,
  }),
  composeMethod({
    name: "smoothquant-w4a4",
    transforms: [smoothQuant()],
    rounder: int4,
    activations: token4,
  }),
  llmInt8(),
  fptq(),
  composeMethod({
    name: "dgq-w4a8",
    transforms: [percentileSmooth()],
    rounder: dgqRounder(),
    activations: token8,
  }),
  composeMethod({
    name: "omniquant-w4a4",
    transforms: [learnedEquivalence({ rounder: int4, activations: token4 })],
    rounder: learnedRangeRounder({ bits: 4 }),
    activations: token4,
  }),
  quikMethod({ name: "quik-w4a4", bits: 4 }),
  quikMethod({ name: "quik-w4a4-rtn", bits: 4, rounding: "nearest" }),
  quikMethod({ name: "quik-w8a8", bits: 8 }),
];
