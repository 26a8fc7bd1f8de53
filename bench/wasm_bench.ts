// The products of the wasm backend on one and two threads, in billions of operations per second: `deno bench --allow-all
// bench/wasm_bench.ts`. The best run counts: what else the machine does can only slow one down.
import { type Backend, createWasmBackend, kernelSignature, type KernelSpec } from "../kernels/mod.ts";
import { createRandom } from "../quant/mod.ts";
import { benchProduct } from "./_flops.ts";

const size = { rows: 1024, columns: 1024, inner: 1024 };
const codes = { ...size, outliers: 0, bias: false };
const token = { rows: 1, columns: 4096, inner: 4096 };
const specs: Record<string, KernelSpec> = {
  "f32 1024^3": { op: "dense_linear", ...size, weightType: "float32", bias: false },
  "f16 weight 1024^3": { op: "dense_linear", ...size, weightType: "float16", bias: false },
  "W4A4 1024^3": { op: "quik_linear", ...codes, activationBits: 4, weightBits: 4 },
  "W4A8 1024^3": { op: "quik_linear", ...codes, activationBits: 8, weightBits: 4 },
  "W8A8 1024^3": { op: "quik_linear", ...codes, activationBits: 8, weightBits: 8 },
  "W4A8 group 128 1024^3": {
    op: "grouped_linear",
    ...size,
    groupSize: 128,
    activationBits: 8,
    weightBits: 4,
    bias: false,
  },
  "f32 1 x 4096 x 4096": { op: "dense_linear", ...token, weightType: "float32", bias: false },
  "W4A8 1 x 4096 x 4096": {
    op: "quik_linear",
    ...token,
    outliers: 0,
    bias: false,
    activationBits: 8,
    weightBits: 4,
  },
  "W4A16 1 x 4096 x 4096": {
    op: "codebook_linear",
    ...token,
    bits: 4,
    groupSize: 128,
    scaleType: "float16",
    zeroPoint: false,
    bias: false,
  },
  "x^T x 512 x 1024": { op: "gram", rows: 512, columns: 1024 },
};

/** Operations that a product counts as; x^T x is symmetric, so half of it is computed. */
function operations(spec: KernelSpec): number {
  if (spec.op === "gram") return spec.rows * spec.columns * (spec.columns + 1);
  const { rows, columns, inner } = spec as typeof size;
  return 2 * rows * columns * inner;
}

/** Fills the buffers of a spec: small normal floats, or any bytes for codes. */
async function prepare(backend: Backend, spec: KernelSpec): Promise<() => void> {
  const random = createRandom(1);
  const { inputs, outputs } = kernelSignature(spec);
  const from = inputs.map(({ name, bytes }) => {
    const buffer = backend.allocate(bytes);
    const isFloat = !name.includes("codes") && !(name === "weight" && bytes < size.inner ** 2 * 4);
    const data = isFloat
      ? Float32Array.from({ length: Math.ceil(bytes / 4) }, () => random.uniform() - 0.5)
      : Uint16Array.from({ length: Math.ceil(bytes / 2) }, () => random.integer(0x3c00));
    backend.write(buffer, new Uint8Array(data.buffer, 0, bytes));
    return buffer;
  });
  const to = outputs.map(({ bytes }) => {
    const buffer = backend.allocate(bytes);
    backend.write(buffer, new Uint8Array(bytes));
    return buffer;
  });
  const kernel = await backend.prepare(spec);
  return () => backend.dispatch(kernel, from, to);
}

for (const threads of [1, 2]) {
  const backend = await createWasmBackend({ threads });
  globalThis.addEventListener("unload", () => backend.dispose());
  for (const [name, spec] of Object.entries(specs)) {
    const run = await prepare(backend, spec);
    benchProduct(`${name}, ${threads === 1 ? "one thread" : "two threads"}`, run, {
      group: name,
      operations: operations(spec),
      baseline: threads === 1,
    });
  }
}
