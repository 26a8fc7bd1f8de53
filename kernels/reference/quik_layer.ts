// A whole QUIK layer: what its two ops compute, one after the other.
import { kernelSignature } from "../signature.ts";
import { quikLayerParts, type QuikLayerSpec } from "../specs.ts";
import { quikLinear } from "./integer_matmul.ts";
import { quantizeActivations } from "./quantize_activations.ts";
import type { Bytes } from "./_views.ts";

/** Reference of {@linkcode QuikLayerSpec}. */
export function quikLayer(spec: QuikLayerSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const [quantize, product] = quikLayerParts(spec);
  const between = kernelSignature(quantize).outputs.map(({ bytes }) => new ArrayBuffer(bytes));
  quantizeActivations(quantize, inputs.slice(0, 3), between);
  quikLinear(product, [...between, ...inputs.slice(3)], outputs);
}
