// A program of its own: compiles the shader of every variant with Dawn's "null" backend, which checks everything and runs
// nothing, and prints what it found as JSON. It ends by force, because Dawn does not survive an orderly exit.
import { createWebGpuBackend, requestFullDevice, specKey } from "../../kernels/mod.ts";
import { variantsFor } from "../../kernels/webgpu/registry.ts";
import { conformanceCases } from "./_cases.ts";

// Not a literal, so that a type check does not download it.
const DAWN_MODULE = "npm:webgpu@0.6.2";

/** Compiles everything; the messages of those that Dawn refuses. */
async function compileAll(gpu: GPU): Promise<{ compiled: number; refused: string[] }> {
  const adapter = await gpu.requestAdapter();
  const backend = await createWebGpuBackend({ device: await requestFullDevice(adapter!) });
  const refused: string[] = [];
  let compiled = 0;
  for (const { spec } of conformanceCases()) {
    for (const variant of variantsFor(spec, backend.capabilities)) {
      try {
        await backend.prepareVariant(spec, variant);
        compiled++;
      } catch (error) {
        refused.push(`${specKey(spec)} (${variant.name}): ${(error as Error).message}`);
      }
    }
  }
  return { compiled, refused };
}

const dawn = await import(DAWN_MODULE).catch(() => undefined);
const result = dawn === undefined
  ? { missing: true }
  : await compileAll(dawn.create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]));
console.log(`RESULT ${JSON.stringify(result)}`);
Deno.kill(Deno.pid, "SIGKILL");
