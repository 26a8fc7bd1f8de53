// GPTQ of one layer on the GPU, from X^T X to codes: `deno run --allow-all bench/gptq_gpu.ts [--gpu dawn] [--size 4096]
// [--data DIR]`. With --data it leaves weight, Hessian, scales and its own result as float32 files for
// `python3 bench/gptq_torch.py DIR`, which does the same with PyTorch and compares.
import { parseArgs } from "node:util";
import { createWebGpuBackend, type DeviceBuffer, type KernelSpec, packedRowBytes } from "../kernels/mod.ts";
import { createDawnDevice } from "../kernels/webgpu/dawn.ts";
import { codeThresholds, int4 } from "../formats/mod.ts";
import { createRandom } from "../quant/mod.ts";

const ROUNDS = 7;
const PERCENT_DAMPING = 0.01;

const { values: options } = parseArgs({
  options: {
    gpu: { type: "string", default: "auto" },
    size: { type: "string", default: "4096" },
    data: { type: "string" },
  },
});
const size = Number(options.size);
using backend = await createWebGpuBackend(options.gpu === "dawn" ? { device: await createDawnDevice() } : {});
using memory = new DisposableStack();

function upload(data: ArrayBufferView<ArrayBuffer>): DeviceBuffer {
  const buffer = memory.use(backend.allocate(data.byteLength));
  backend.write(buffer, data);
  return buffer;
}

async function download(buffer: DeviceBuffer): Promise<Float32Array<ArrayBuffer>> {
  return new Float32Array(await backend.read(buffer));
}

const random = createRandom(7);
const hessian = await correlatedGram();
const weight = Float32Array.from({ length: size * size }, () => 0.05 * random.normal());
const scales = Float32Array.from({ length: size }, (_, row) => {
  let absmax = 0;
  for (let k = 0; k < size; k++) absmax = Math.max(absmax, Math.abs(weight[row * size + k]));
  return absmax / 7;
});
let mean = 0;
const diagonal = await download(hessian);
for (let k = 0; k < size; k++) mean += diagonal[k * size + k] / size;

const factorSpec: KernelSpec = { op: "inverse_factor", size };
const sweepSpec: KernelSpec = { op: "gptq_sweep", rows: size, columns: size, base: size, groups: 1, bits: 4 };
const { thresholds, codes } = codeThresholds(int4);
const factor = memory.use(backend.allocate(size * size * 4));
const pivots = memory.use(backend.allocate(size * 4));
const order = upload(Uint32Array.from({ length: size }, (_, k) => k));
const damping = upload(Float32Array.of(PERCENT_DAMPING * mean));
const original = upload(weight);
const rounded = memory.use(backend.allocate(weight.byteLength));
const packed = memory.use(backend.allocate(size * packedRowBytes(size, 8)));
const loss = memory.use(backend.allocate(size * 4));
const sweepInputs = [
  factor,
  upload(new Uint32Array(size)),
  upload(scales),
  upload(new Float32Array(size)),
  upload(thresholds),
  upload(codes),
  upload(Float32Array.from({ length: 16 }, (_, code) => int4.decode(code))),
];
const [factorKernel, sweepKernel, copyKernel] = [
  await backend.prepare(factorSpec),
  await backend.prepare(sweepSpec),
  await backend.prepare({ op: "add", count: size * size }),
];
const zeros = upload(new Float32Array(size * size));

/** Seconds of one quantization, with everything on the device before and after. */
async function once(): Promise<number> {
  backend.dispatch(copyKernel, [original, zeros], [rounded]);
  await backend.sync();
  const start = performance.now();
  backend.dispatch(factorKernel, [hessian, order, damping], [factor, pivots]);
  backend.dispatch(sweepKernel, sweepInputs, [rounded, packed, loss]);
  await backend.sync();
  return (performance.now() - start) / 1e3;
}

await once();
const seconds: number[] = [];
for (let round = 0; round < ROUNDS; round++) seconds.push(await once());
seconds.sort((a, b) => a - b);
const total = (await download(loss)).reduce((sum, value) => sum + value, 0);
console.log(
  `${backend.description}: GPTQ ${size} x ${size} ${(seconds[ROUNDS >> 1] * 1e3).toFixed(1)} ms (${
    (seconds[0] * 1e3).toFixed(1)
  } to ${(seconds[ROUNDS - 1] * 1e3).toFixed(1)}), loss ${total.toPrecision(6)}`,
);
if (options.data !== undefined) {
  await Deno.mkdir(options.data, { recursive: true });
  const files = { weight, hessian: diagonal, scales, result: await download(rounded) };
  for (const [name, data] of Object.entries(files)) {
    await Deno.writeFile(`${options.data}/${name}.f32`, new Uint8Array(data.buffer));
  }
}

/** X^T X of correlated inputs, computed on the device: x = z A with A = I + noise. */
async function correlatedGram(): Promise<DeviceBuffer> {
  const rows = 2 * size;
  const z = upload(Float32Array.from({ length: rows * size }, () => random.normal()));
  const mixing = Float32Array.from({ length: size * size }, () => 0.3 * random.normal() / Math.sqrt(size));
  for (let k = 0; k < size; k++) mixing[k * size + k] += 1;
  const x = memory.use(backend.allocate(rows * size * 4));
  const gram = upload(new Float32Array(size * size));
  const product: KernelSpec = {
    op: "dense_linear",
    rows,
    columns: size,
    inner: size,
    weightType: "float32",
    bias: false,
  };
  backend.dispatch(await backend.prepare(product), [z, upload(mixing)], [x]);
  backend.dispatch(await backend.prepare({ op: "gram", rows, columns: size }), [x], [gram]);
  await backend.sync();
  return gram;
}
