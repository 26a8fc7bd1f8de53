// A whole QUIK layer: its two kernels in turn.
import { kernelSignature } from "../signature.ts";
import { quikLayerParts, type QuikLayerSpec } from "../specs.ts";
import type { Context, Region } from "./_context.ts";
import { quikLinear } from "./_ops_linear.ts";
import { quantizeActivations } from "./_ops_rows.ts";

/** Runs {@linkcode QuikLayerSpec}. */
export function quikLayer(context: Context, spec: QuikLayerSpec, inputs: Region[], outputs: Region[]): void {
  const [quantize, product] = quikLayerParts(spec);
  const between = kernelSignature(quantize).outputs.map(({ bytes }) => ({
    address: context.temporary(bytes),
    byteLength: bytes,
  }));
  quantizeActivations(context, quantize, inputs.slice(0, 3), between);
  quikLinear(context, product, [...between, ...inputs.slice(3)], outputs);
}
