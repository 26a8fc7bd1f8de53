// Every method by name, built only from public parts.
import type { LinearMethod } from "./method.ts";
import { roundingMethods } from "./presets_rounding.ts";

/** Every method that the library knows, by the name that `quik compare --methods` takes. */
export const methods: Readonly<Record<string, LinearMethod>> = Object.fromEntries(
  [...roundingMethods].map((method) => [method.name, method]),
);
