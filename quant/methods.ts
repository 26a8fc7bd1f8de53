// Every method by name, built only from public parts.
import type { LinearMethod } from "./method.ts";
import { roundingMethods } from "./presets_rounding.ts";
import { weightActivationMethods } from "./presets_weight_activation.ts";
import { weightOnlyMethods } from "./presets_weight_only.ts";

/** Every method that the library knows, by the name that `quik compare --methods` takes. */
export const methods: Readonly<Record<string, LinearMethod>> = Object.fromEntries(
  [...roundingMethods, ...weightOnlyMethods, ...weightActivationMethods].map((
    method,
  ) => [method.name, method]),
);
