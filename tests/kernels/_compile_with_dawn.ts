// A program of its own: compiles the shader of every variant with Dawn's "null" backend, which checks everything and runs
// nothing, dispatches one whose buffers need care, and prints what it found as JSON. It ends by force, because Dawn does not survive an orderly exit.
import {
  createWebGpuBackend,
  type KernelSpec,
  type KernelVariant,
  requestFullDevice,
  specKey,
} from "../../kernels/mod.ts";
import { variantsFor } from "../../kernels/webgpu/registry.ts";
import { conformanceCases } from "./_cases.ts";
import { MATRIX_DEVICE } from "./_devices.ts";
import { multiplyWithItself, readingInTextOrder } from "./_one_buffer.ts";

// Not a literal, so that a type check does not download it.
const DAWN_MODULE = "npm:webgpu@0.6.2";

/** Compiles everything; the messages of those that Dawn refuses. */
async function compileAll(gpu: GPU): Promise<{ compiled: number; refused: string[] }> {
  const adapter = await gpu.requestAdapter();
  const backend = await createWebGpuBackend({ device: await requestFullDevice(adapter!) });
  const refused: string[] = [];
  let compiled = 0;
  const check = async (spec: KernelSpec, variant: KernelVariant): Promise<void> => {
    if (variant.supports(spec, backend.capabilities)) await backend.prepareVariant(spec, variant);
    for (const { wgsl } of variant.generate(spec, MATRIX_DEVICE).passes) {
      await compileModule(backend.device, wgsl);
    }
  };
  for (const { spec } of conformanceCases()) {
    for (const variant of variantsFor(spec, MATRIX_DEVICE)) {
      try {
        await check(spec, variant);
        compiled++;
      } catch (error) {
        refused.push(`${specKey(spec)} (${variant.name}): ${(error as Error).message}`);
      }
    }
  }
  // Deno's implementation does not refuse a buffer that is bound twice; Dawn does.
  using writable = await createWebGpuBackend({
    device: backend.device,
    choose: (_spec, [first]) => readingInTextOrder(first),
  });
  await multiplyWithItself(writable).catch((error: Error) => refused.push(error.message));
  return { compiled, refused };
}

/** Compiles a shader without a pipeline, which a device without the hardware would refuse. */
async function compileModule(device: GPUDevice, code: string): Promise<void> {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code });
  const error = await device.popErrorScope();
  if (error === null) return;
  const { messages } = await module.getCompilationInfo();
  throw new TypeError([...messages].map(({ lineNum, message }) => `line ${lineNum}: ${message}`).join("; "));
}

const dawn = await import(DAWN_MODULE).catch(() => undefined);
const result = dawn === undefined
  ? { missing: true }
  : await compileAll(dawn.create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]));
console.log(`RESULT ${JSON.stringify(result)}`);
Deno.kill(Deno.pid, "SIGKILL");
