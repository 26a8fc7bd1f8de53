// y = a + b, y = f(x) and y = f(gate) * up.
import type { ActivationSpec, AddSpec, GatedActivationSpec } from "../specs.ts";
import { ACTIVATIONS } from "./_activations.ts";
import { elementwiseProgram } from "./_elementwise.ts";
import type { KernelVariant } from "./program.ts";

/** Variants of `add`. */
export const addVariants: readonly KernelVariant<AddSpec>[] = [{
  name: "elementwise",
  supports: () => true,
  generate: ({ count }) => elementwiseProgram({ count, inputs: ["a", "b"], expression: "a[i] + b[i]" }),
}];

/** Variants of `activation`. */
export const activationVariants: readonly KernelVariant<ActivationSpec>[] = [{
  name: "elementwise",
  supports: () => true,
  generate: ({ count, activation }) =>
    elementwiseProgram({ count, inputs: ["x"], expression: "f(x[i])", functions: ACTIVATIONS[activation] }),
}];

/** Variants of `gated_activation`. */
export const gatedActivationVariants: readonly KernelVariant<GatedActivationSpec>[] = [{
  name: "elementwise",
  supports: () => true,
  generate: ({ count, activation }) =>
    elementwiseProgram({
      count,
      inputs: ["gate", "up"],
      expression: "f(gate[i]) * up[i]",
      functions: ACTIVATIONS[activation],
    }),
}];
