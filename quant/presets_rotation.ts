// Rotation methods: QuaRot and SpinQuant, per layer.
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
  {
    name: "quarot-w4a4",
    transforms: [hadamardFinder()],
    rounder: gptqRounder({ grid: int4 }),
    activations: token4,
  },
  {
    name: "quarot-w4a4-rtn",
    transforms: [hadamardFinder()],
    rounder: nearestRounder({ grid: int4 }),
    activations: token4,
  },
  {
    name: "quarot-w8a8-rtn",
    transforms: [hadamardFinder()],
    rounder: nearestRounder({ grid: integerGrid({ bits: 8 }) }),
    activations: perTokenActivations({ bits: 8 }),
  },
  {
    name: "quarot-mxfp4-w4a4",
    transforms: [hadamardFinder()],
    rounder: blockFormatRounder(mxfp4),
    activations: blockFormatActivations(mxfp4),
  },
  {
    name: "spinquant-w4a4",
    transforms: [learnedRotationFinder()],
    rounder: gptqRounder({ grid: int4 }),
    activations: token4,
  },
];

/** QuaRot and SpinQuant; rotations that a layer applies to its inputs while the model runs. */
export const rotationMethods: readonly LinearMethod[] = recipes.map(composeMethod);
