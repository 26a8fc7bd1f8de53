// Plain rounding, the baseline of every method: weight-only at 8, 4, 3 and 2 bits, and with activations.
import { perTokenActivations } from "./activations.ts";
import { integerGrid } from "./integer_grid.ts";
import type { LinearMethod } from "./method.ts";
import { composeMethod } from "./recipe.ts";
import { nearestRounder } from "./rounders.ts";

const groupSize = 128;

/** Round to nearest: `rtn-w8`, `rtn-w4`, `rtn-w3`, `rtn-w2` (asymmetric groups of 128), `rtn-w8a8`, `rtn-w4a4` (per channel, per token). */
export const roundingMethods: readonly LinearMethod[] = [
  ...[8, 4, 3, 2].map((bits) =>
    composeMethod({
      name: `rtn-w${bits}`,
      rounder: nearestRounder({ grid: integerGrid({ bits, mapping: "asym" }), groupSize }),
    })
  ),
  ...[8, 4].map((bits) =>
    composeMethod({
      name: `rtn-w${bits}a${bits}`,
      rounder: nearestRounder({ grid: integerGrid({ bits }) }),
      activations: perTokenActivations({ bits }),
    })
  ),
];
