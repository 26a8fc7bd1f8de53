// The conformance of each kernel variant that a WebGPU device supports, not only of the one it would choose.
import type { WebGpuBackend, WebGpuBackendOptions } from "../../kernels/mod.ts";
import { variantsFor } from "../../kernels/webgpu/registry.ts";
import { assert } from "@std/assert";
import { type Case, conformanceCases } from "./_cases.ts";
import { checkCase, type ConformanceOptions } from "./conformance.ts";

/** Options for `checkVariants`. */
export interface VariantOptions extends ConformanceOptions {
  /** Cases to run of each variant, spread evenly over those it supports; the rest run by default. */
  readonly casesPerVariant: number;
}

/**
 * Runs every variant that is not the first choice in some case, one step per op and variant.
 *
 * @param test The enclosing test.
 * @param create Makes a backend on the device under test.
 * @param options Tolerance, and how many cases.
 */
export async function checkVariants(
  test: Deno.TestContext,
  create: (options: WebGpuBackendOptions) => Promise<WebGpuBackend>,
  options: VariantOptions,
): Promise<void> {
  const casesByVariant = await otherCases(create);
  assert(casesByVariant.size > 0, "some op should have more than one variant");
  for (const [label, { variant, cases }] of casesByVariant) {
    const count = Math.min(options.casesPerVariant, cases.length);
    await test.step(`${label} (${count} cases)`, async () => {
      using backend = await create({
        choose: (_spec, candidates) => candidates.find(({ name }) => name === variant) ?? candidates[0],
      });
      for (let i = 0; i < count; i++) {
        await checkCase(backend, cases[Math.floor(i * cases.length / count)], options);
      }
    });
  }
}

/** Cases by the variants that support them and are not chosen. */
async function otherCases(
  create: (options: WebGpuBackendOptions) => Promise<WebGpuBackend>,
): Promise<Map<string, { variant: string; cases: Case[] }>> {
  using backend = await create({});
  const found = new Map<string, { variant: string; cases: Case[] }>();
  for (const testCase of conformanceCases()) {
    for (const { name } of variantsFor(testCase.spec, backend.capabilities).slice(1)) {
      const label = `${testCase.spec.op} ${name}`;
      const entry = found.get(label) ?? { variant: name, cases: [] };
      entry.cases.push(testCase);
      found.set(label, entry);
    }
  }
  return found;
}
