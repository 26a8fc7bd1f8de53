// Every method by name, built only from public parts.
import type { LinearMethod } from "./method.ts";
import { formatMethods } from "./presets_formats.ts";
import { lowRankMethods } from "./presets_low_rank.ts";
import { mixedMethods } from "./presets_mixed.ts";
import { rotationMethods } from "./presets_rotation.ts";
import { roundingMethods } from "./presets_rounding.ts";
import { trainingMethods } from "./presets_training.ts";
import { weightActivationMethods } from "./presets_weight_activation.ts";
import { weightOnlyMethods } from "./presets_weight_only.ts";

/** Every method that the library knows, by the name that `quik compare --methods` takes. */
export const methods: Readonly<Record<string, LinearMethod>> = Object.fromEntries(
  [
    ...roundingMethods,
    ...weightOnlyMethods,
    ...trainingMethods,
    ...formatMethods,
    ...weightActivationMethods,
    ...lowRankMethods,
    ...mixedMethods,
    ...rotationMethods,
  ].map((method) => [method.name, method]),
);
