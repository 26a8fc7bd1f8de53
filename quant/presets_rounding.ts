// Plain rounding, the baseline of every method: weight-only at 8, 4, 3 and 2 bits, and with activations.
import { perTokenActivations } from "./activations.ts";
import { integerGrid } from "./integer_grid.ts";
import type { LinearMethod } from "./method.ts";
import { composeMethod } from "./recipe.ts";
import { nearestRounder } from "./rounders.ts";

/** Weights that share a scale, by the end of the method's name: what the table's other methods use. */
const groups = { "": 128, "-g64": 64, "-channel": undefined };

/**
 * Round to nearest, the baseline at the same bits: `rtn-w8`, `rtn-w4`, `rtn-w3`, `rtn-w2` (asymmetric, groups of 128, as GPTQ,
 * AWQ and OmniQuant), the lower ones also in groups of 64 (`rtn-w4-g64`; as HQQ and NF4) and per output channel
 * (`rtn-w4-channel`; as SqueezeLLM and GPTQT); `rtn-w8a8`, `rtn-w4a4` (per channel, per token).
 */
export const roundingMethods: readonly LinearMethod[] = [
  weightOnly(8, ""),
  ...[4, 3, 2].flatMap((bits) => (["", "-g64", "-channel"] as const).map((group) => weightOnly(bits, group))),
  ...[8, 4].map((bits) =>
    composeMethod({
      name: `rtn-w${bits}a${bits}`,
      rounder: nearestRounder({ grid: integerGrid({ bits }) }),
      activations: perTokenActivations({ bits }),
    })
  ),
];

function weightOnly(bits: number, group: keyof typeof groups): LinearMethod {
  const rounder = nearestRounder({ grid: integerGrid({ bits, mapping: "asym" }), groupSize: groups[group] });
  return composeMethod({ name: `rtn-w${bits}${group}`, rounder });
}
