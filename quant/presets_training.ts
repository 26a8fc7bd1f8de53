// Methods that train a little: the layer's weights through the rounding, or the range of its inputs.
import { integerGrid } from "./integer_grid.ts";
import { learnedClipActivations } from "./learned_clip_activations.ts";
import { lsqRounder } from "./lsq_rounder.ts";
import type { LinearMethod } from "./method.ts";
import { composeMethod } from "./recipe.ts";
import { nearestRounder } from "./rounders.ts";

const groupSize = 128;

/** `lsq-w3`: weights and steps trained on the layer's output; `learned-clip-w4a8`: static 8-bit inputs in a learned range. */
export const trainingMethods: readonly LinearMethod[] = [
  composeMethod({ name: "lsq-w3", rounder: lsqRounder({ bits: 3, groupSize }) }),
  composeMethod({
    name: "learned-clip-w4a8",
    rounder: nearestRounder({ grid: integerGrid({ bits: 4, clip: true }), groupSize }),
    activations: learnedClipActivations({ bits: 8 }),
  }),
];
