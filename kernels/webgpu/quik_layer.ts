// A whole QUIK layer as the passes of its two ops, with scratch memory between them.
import { kernelSignature } from "../signature.ts";
import { quikLayerParts, type QuikLayerSpec } from "../specs.ts";
import { type BindingSource, type ComputePass, inOrder, type KernelVariant } from "./program.ts";
import { quantizeActivationsGatheredVariants } from "./quantize_activations_gathered.ts";
import { quantizeActivationsStagedVariants } from "./quantize_activations_staged.ts";
import { quantizeActivationsVariants } from "./quantize_activations.ts";
import { quikLinearDecodeVariants } from "./quik_linear_decode.ts";
import { quikLinearMatrixVariants } from "./quik_linear_matrix.ts";
import { quikLinearVariants } from "./quik_linear.ts";

const QUANTIZE = [
  ...quantizeActivationsGatheredVariants,
  ...quantizeActivationsStagedVariants,
  ...quantizeActivationsVariants,
];
const PRODUCT = [...quikLinearMatrixVariants, ...quikLinearDecodeVariants, ...quikLinearVariants];

function rewired(
  passes: readonly ComputePass[],
  source: (from: BindingSource) => BindingSource,
): ComputePass[] {
  return passes.map((pass) => ({
    ...pass,
    bindings: pass.bindings.map((binding) => ({ ...binding, source: source(binding.source) })),
  }));
}

/** Variants of `quik_layer` for any number of tokens. */
export const quikLayerVariants: readonly KernelVariant<QuikLayerSpec>[] = [{
  name: "two_ops",
  supports: () => true,
  generate: (spec, capabilities) => {
    const [quantize, product] = quikLayerParts(spec);
    const first = inOrder(QUANTIZE, quantize, capabilities)[0].generate(quantize, capabilities);
    const second = inOrder(PRODUCT, product, capabilities)[0].generate(product, capabilities);
    const between = kernelSignature(quantize).outputs.map(({ bytes }) => bytes);
    const firstScratch = between.length;
    const secondScratch = firstScratch + (first.scratch?.length ?? 0);
    return {
      scratch: [...between, ...first.scratch ?? [], ...second.scratch ?? []],
      passes: [
        ...rewired(first.passes, ({ from, index }) => {
          if (from === "output") return { from: "scratch", index };
          return from === "scratch" ? { from, index: firstScratch + index } : { from, index };
        }),
        ...rewired(second.passes, ({ from, index }) => {
          if (from === "input" && index < between.length) return { from: "scratch", index };
          return from === "scratch" ? { from, index: secondScratch + index } : { from, index };
        }),
      ],
    };
  },
}];
