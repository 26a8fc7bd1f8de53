// FPTQ (arXiv 2308.15987): 4-bit weights in groups, 8-bit activations treated by how large they were in calibration.
import { perTokenActivations, staticActivations } from "./activations.ts";
import { integerGrid } from "./integer_grid.ts";
import type { LinearMethod } from "./method.ts";
import { chooseMethod, composeMethod, type Rounder } from "./recipe.ts";
import { nearestRounder } from "./rounders.ts";
import { logarithmicEqualization } from "./smooth.ts";

/** How activations of a layer are treated. */
export type ActivationPolicy = "static" | "equalized-static" | "dynamic-token";

/** Where {@linkcode chooseActivationPolicy} switches. */
export interface PolicyOptions {
  /** Largest `max |x|` for plain static quantization. Default 15. */
  readonly low?: number;
  /** `max |x|` from which scales are found per token at run time. Default 150. */
  readonly high?: number;
}

/**
 * FPTQ's policy: static per tensor up to `low`, static behind logarithmic equalization up to `high`, dynamic per token
 * from there.
 *
 * @param absmax Largest magnitude among the layer's calibrated inputs.
 * @param options The limits.
 * @returns The policy.
 *
 * @example Usage
 * ```ts
 * import { chooseActivationPolicy } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals([15, 16, 150].map((range) => chooseActivationPolicy(range)), ["static", "equalized-static", "dynamic-token"]);
 * ```
 */
export function chooseActivationPolicy(absmax: number, options: PolicyOptions = {}): ActivationPolicy {
  const { low = 15, high = 150 } = options;
  return absmax <= low ? "static" : absmax < high ? "equalized-static" : "dynamic-token";
}

/** Parts of {@linkcode fptq}. */
export interface FptqOptions extends PolicyOptions {
  /** How weights are rounded. Default: nearest, symmetric int4 in groups of 128. */
  readonly rounder?: Rounder;
}

/**
 * FPTQ.
 *
 * @param options Limits of the policy, rounding.
 * @returns The method.
 */
export function fptq(options: FptqOptions = {}): LinearMethod {
  const { rounder = nearestRounder({ grid: integerGrid({ bits: 4 }), groupSize: 128 }) } = options;
  const name = "fptq-w4a8", fixed = staticActivations({ bits: 8 });
  const byPolicy: Record<ActivationPolicy, LinearMethod> = {
    "static": composeMethod({ name, rounder, activations: fixed }),
    "equalized-static": composeMethod({
      name,
      transforms: [logarithmicEqualization()],
      rounder,
      activations: fixed,
    }),
    "dynamic-token": composeMethod({ name, rounder, activations: perTokenActivations({ bits: 8 }) }),
  };
  const method = chooseMethod(name, (_, { absmax }) => {
    const largest = absmax.reduce((m, x) => Math.max(m, x), 0);
    return byPolicy[chooseActivationPolicy(largest, options)];
  });
  return { ...method, weightBits: rounder.bits, activationBits: 8 };
}
