// The main products on whatever WebGPU adapter answers, in small shapes: `deno bench --allow-all bench/gpu_bench.ts`.
// Every run is a batch of dispatches and one wait, because waiting costs Deno at least 10 ms. For figures that mean
// something on a large GPU, see gpu.ts.
import { createWebGpuBackend, kernelSignature, type KernelSpec } from "../kernels/mod.ts";
import { randomInputs } from "./_gpu_data.ts";
import { measurements } from "./_gpu_tables.ts";

const BATCH = 16;

const adapter = await globalThis.navigator?.gpu?.requestAdapter() ?? null;
if (adapter === null) console.log("No WebGPU adapter answers: the GPU benches are left out");
else await registerAll();

async function registerAll(): Promise<void> {
  const backend = await createWebGpuBackend();
  const specs = measurements(backend.capabilities.subgroupMatrices.length > 0, true)
    .flatMap(({ table, name, specs }) => specs.map((spec) => ({ table, name, spec })));
  for (const { table, name, spec } of specs) {
    const kernel = await backend.prepare(spec);
    const signature = kernelSignature(spec);
    const outputs = signature.outputs.map(({ bytes }) => backend.allocate(bytes));
    const [inputs] = randomInputs(backend, spec, 0);
    const moved = [...signature.inputs, ...signature.outputs].reduce((sum, { bytes }) => sum + bytes, 0);
    const label = `${name}: ${spec.op} (${kernel.variant})`;
    let best = Infinity;
    Deno.bench(`gpu ${table} ${label}`, { group: `gpu ${table}` }, async () => {
      const start = performance.now();
      for (let i = 0; i < BATCH; i++) backend.dispatch(kernel, inputs, outputs);
      await backend.sync();
      best = Math.min(best, (performance.now() - start) / BATCH / 1e3);
    });
    addEventListener("unload", () => {
      if (best < Infinity) {
        const rates = `${(operations(spec) / best / 1e9).toFixed(2)} GOP/s, ${
          (moved / best / 1e9).toFixed(3)
        } GB/s`;
        console.log(`${label.padEnd(60)} ${rates}`);
      }
    });
  }
}

function operations(spec: KernelSpec): number {
  if (!("inner" in spec) || !("rows" in spec) || !("columns" in spec)) return 0;
  const outliers = "outliers" in spec ? spec.outliers : 0;
  return 2 * spec.rows * spec.columns * (spec.inner + outliers);
}
