// Which variants compute which op. The first variant that supports a spec is the default choice, so faster and
// pickier variants stand before those that run everywhere.
import type { KernelSpec, OpName } from "../specs.ts";
import { addVariant } from "./add.ts";
import type { WebGpuCapabilities } from "./capabilities.ts";
import type { KernelVariant } from "./program.ts";

type VariantTable = { readonly [Op in OpName]?: readonly KernelVariant<Extract<KernelSpec, { op: Op }>>[] };

const VARIANTS: VariantTable = {
  add: [addVariant],
};

/**
 * The variants that compute a spec on a device, in order of preference.
 *
 * @param spec The op.
 * @param capabilities What the device can do.
 * @returns The variants; empty when there is none.
 */
export function variantsFor(spec: KernelSpec, capabilities: WebGpuCapabilities): readonly KernelVariant[] {
  const variants: readonly KernelVariant[] = VARIANTS[spec.op] ?? [];
  return variants.filter((variant) => variant.supports(spec, capabilities));
}
