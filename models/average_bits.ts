// Bits per weight of a whole model.
import type { Model } from "./model.ts";

/**
 * Stored bits of all linear layers of a model's blocks over their number of weights.
 *
 * @param model The model, dense or quantized.
 * @returns Bits per weight.
 */
export function averageBitsPerWeight(model: Model): number {
  let bits = 0;
  let weights = 0;
  for (const { linear } of model.linears.values()) {
    const count = linear.inputs * linear.outputs;
    bits += linear.bitsPerWeight * count;
    weights += count;
  }
  return bits / weights;
}
