// Rotation methods: QuaRot and SpinQuant, for layers of a rotated model and for single layers.
import { mxfp4 } from "../formats/mod.ts";
import { perTokenActivations } from "./activations.ts";
import { blockFormatActivations, blockFormatRounder } from "./format_schemes.ts";
import { integerGrid } from "./integer_grid.ts";
import type { LinearMethod } from "./method.ts";
import { composeMethod, type Recipe } from "./recipe.ts";
import { hadamardFinder, learnedRotationFinder } from "./rotation_finders.ts";
import { gptqRounder, nearestRounder } from "./rounders.ts";

/** QuaRot's weights: symmetric per output, clipped by search. */
const int4 = integerGrid({ bits: 4, clip: true });
/** QuaRot's activations. */
const token4 = perTokenActivations({ bits: 4, clipRatio: 0.9 });

const recipes: readonly Recipe[] = [
  { name: "quarot-w4a4", rounder: gptqRounder({ grid: int4 }), activations: token4 },
  { name: "quarot-w4a4-rtn", rounder: nearestRounder({ grid: int4 }), activations: token4 },
  {
    name: "quarot-w8a8-rtn",
    rounder: nearestRounder({ grid: integerGrid({ bits: 8 }) }),
    activations: perTokenActivations({ bits: 8 }),
  },
  {
    name: "quarot-mxfp4-w4a4",
    rounder: blockFormatRounder(mxfp4),
    activations: blockFormatActivations(mxfp4),
  },
  { name: "spinquant-w4a4", rounder: gptqRounder({ grid: int4 }), activations: token4 },
];

/** How QuaRot and SpinQuant quantize the layers of a model whose activations are rotated already, as whole models are. */
export const rotatedLayerMethods: readonly LinearMethod[] = recipes.map(composeMethod);

/**
 * QuaRot and SpinQuant on a single layer, which rotates its own inputs while the model runs. Outliers that norm gains make
 * are then rotated with the rest; in a whole model the gains are folded away first, which leaves less to rotate.
 */
export const rotationMethods: readonly LinearMethod[] = recipes.map((recipe) =>
  composeMethod({
    ...recipe,
    transforms: [recipe.name === "spinquant-w4a4" ? learnedRotationFinder() : hadamardFinder()],
  })
);
