// This library's CPU products beside ONNX Runtime's, native and WebAssembly, in one run and on the same two threads:
// `deno run --allow-all bench/peers_cpu.ts`. Prints the table of README.md.
//
// Every time is what a caller waits for: floats in, floats out, activation quantization and copies included. Engines take
// turns in short blocks with pauses between them, because some keep their threads spinning; each figure is the best of
// all its runs, since other programs can only slow one down.
import { type Backend, createWasmBackend, type DeviceBuffer, type Kernel } from "../kernels/mod.ts";
import { packedRowBytes } from "../kernels/specs.ts";
import { createRandom } from "../quant/mod.ts";
import { floatModel, fourBitModel, type FourBitWeight } from "./_onnx.ts";

const ROWS = [1, 16, 128];
const SIZES = [2048, 4096];
const THREADS = 2;
const ROUNDS = 4;
const BLOCK_MILLISECONDS = 150;

/** The part of ONNX Runtime's interface that is used here. */
interface Runtime {
  readonly env: { readonly wasm: { numThreads?: number }; readonly versions: { readonly common: string } };
  readonly Tensor: new (type: "float32", data: Float32Array<ArrayBuffer>, dims: number[]) => unknown;
  readonly InferenceSession: {
    create(
      model: Uint8Array<ArrayBuffer>,
      options: unknown,
    ): Promise<{ run(feeds: unknown): Promise<unknown> }>;
  };
}

/** Loads a runtime by a name that checkers do not follow: together they weigh hundreds of megabytes. */
async function loadRuntime(name: "node" | "web"): Promise<Runtime> {
  return await import(`npm:onnxruntime-${name}@1.30.0`);
}

/** One engine's product of a given shape. */
interface Contender {
  readonly name: string;
  run(): Promise<unknown>;
}

interface Weights {
  readonly dense: Float32Array<ArrayBuffer>;
  readonly fourBit: FourBitWeight;
}

function makeWeights(size: number): Weights {
  const random = createRandom(size);
  const dense = Float32Array.from({ length: size * size }, () => random.uniform() - 0.5);
  const packed = Uint8Array.from({ length: size * size / 2 }, () => random.integer(256));
  const scales = Float32Array.from({ length: size * size / 32 }, () => 0.01 + random.uniform() / 100);
  return { dense, fourBit: { packed, scales } };
}

/** A float product, or a 4-bit one with its activation quantization, on our backend. */
class Own implements Contender {
  readonly name: string;
  readonly #backend: Backend;
  readonly #x: Float32Array<ArrayBuffer>;
  readonly #steps: [Kernel, DeviceBuffer[], DeviceBuffer[]][];

  constructor(
    name: string,
    backend: Backend,
    x: Float32Array<ArrayBuffer>,
    steps: [Kernel, DeviceBuffer[], DeviceBuffer[]][],
  ) {
    this.name = name;
    this.#backend = backend;
    this.#x = x;
    this.#steps = steps;
  }

  async run(): Promise<unknown> {
    this.#backend.write(this.#steps[0][1][0], this.#x);
    for (const [kernel, inputs, outputs] of this.#steps) this.#backend.dispatch(kernel, inputs, outputs);
    return await this.#backend.read(this.#steps.at(-1)![2][0]);
  }
}

function upload(backend: Backend, data: ArrayBufferView<ArrayBuffer>): DeviceBuffer {
  const buffer = backend.allocate(data.byteLength);
  backend.write(buffer, data);
  return buffer;
}

async function ownFloat(
  backend: Backend,
  x: Float32Array<ArrayBuffer>,
  rows: number,
  weight: DeviceBuffer,
  size: number,
): Promise<Own> {
  const shape = { rows, columns: size, inner: size };
  const kernel = await backend.prepare({ op: "dense_linear", ...shape, weightType: "float32", bias: false });
  const buffers = [backend.allocate(rows * size * 4), weight];
  return new Own("ours f32", backend, x, [[kernel, buffers, [backend.allocate(rows * size * 4)]]]);
}

async function ownFourBit(
  backend: Backend,
  x: Float32Array<ArrayBuffer>,
  rows: number,
  weight: DeviceBuffer,
  size: number,
  bits: 4 | 8,
): Promise<Own> {
  const quantize = await backend.prepare({
    op: "quantize_activations",
    rows,
    columns: size,
    outliers: 0,
    bits,
  });
  const product = await backend.prepare({
    op: "quik_linear",
    rows,
    columns: size,
    inner: size,
    outliers: 0,
    activationBits: bits,
    weightBits: 4,
    bias: false,
  });
  const none = backend.allocate(0);
  const codes = backend.allocate(rows * packedRowBytes(size, bits));
  const qparams = backend.allocate(rows * 8);
  const scales = upload(backend, new Float32Array(size).fill(0.01));
  const reduced = upload(backend, new Float32Array(size));
  const identity = upload(backend, Uint32Array.from({ length: size }, (_, i) => i));
  const y = backend.allocate(rows * size * 4);
  return new Own(`ours W4A${bits}`, backend, x, [
    [quantize, [backend.allocate(rows * size * 4), identity, none], [codes, qparams, none]],
    [product, [codes, qparams, none, weight, scales, reduced, none], [y]],
  ]);
}

async function onnx(
  runtime: Runtime,
  provider: string,
  name: string,
  model: Uint8Array<ArrayBuffer>,
): Promise<(x: Float32Array<ArrayBuffer>, rows: number, size: number) => Contender> {
  const session = await runtime.InferenceSession.create(model, {
    executionProviders: [provider],
    intraOpNumThreads: THREADS,
    interOpNumThreads: 1,
  });
  return (data, rows, size) => {
    const x = new runtime.Tensor("float32", data, [rows, size]);
    return { name, run: () => session.run({ x }) };
  };
}

/** Best milliseconds of each contender. */
async function race(contenders: readonly Contender[]): Promise<Map<string, number>> {
  const best = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const contender of contenders) {
      await contender.run();
      const end = performance.now() + BLOCK_MILLISECONDS;
      do {
        const start = performance.now();
        await contender.run();
        const time = performance.now() - start;
        best.set(contender.name, Math.min(best.get(contender.name) ?? Infinity, time));
      } while (performance.now() < end);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }
  return best;
}

const COLUMNS = [
  "ours f32",
  "ours W4A8",
  "ours W4A4",
  "wasm f32",
  "wasm 4-bit",
  "native f32",
  "native 4-bit",
];

const [native, web] = await Promise.all([loadRuntime("node"), loadRuntime("web")]);
web.env.wasm.numThreads = THREADS;
using backend = await createWasmBackend({ threads: THREADS });
console.log(
  `${backend.description}; ONNX Runtime ${native.env.versions.common}\n`,
);
const ratios = ["4-bit / wasm f32", "4-bit / wasm 4-bit", "f32 / wasm f32", "4-bit / native 4-bit"];
console.log(`| M x N x K, ms | ${[...COLUMNS, ...ratios].join(" | ")} |`);
console.log(`| --- |${" ---: |".repeat(COLUMNS.length + ratios.length)}`);
for (const size of SIZES) {
  const { dense, fourBit } = makeWeights(size);
  const weight = upload(backend, dense);
  const packed = upload(backend, fourBit.packed);
  const models = [floatModel(dense, size, size), fourBitModel(fourBit, size, size)];
  const theirs = [
    await onnx(web, "wasm", "wasm f32", models[0]),
    await onnx(web, "wasm", "wasm 4-bit", models[1]),
    await onnx(native, "cpu", "native f32", models[0]),
    await onnx(native, "cpu", "native 4-bit", models[1]),
  ];
  for (const rows of ROWS) {
    const random = createRandom(rows);
    const x = Float32Array.from({ length: rows * size }, () => random.normal());
    const best = await race([
      await ownFloat(backend, x, rows, weight, size),
      await ownFourBit(backend, x, rows, packed, size, 8),
      await ownFourBit(backend, x, rows, packed, size, 4),
      ...theirs.map((make) => make(x, rows, size)),
    ]);
    const of = (name: string) => best.get(name)!;
    const speedups = [
      of("wasm f32") / of("ours W4A8"),
      of("wasm 4-bit") / of("ours W4A8"),
      of("wasm f32") / of("ours f32"),
      of("native 4-bit") / of("ours W4A8"),
    ];
    const cells = [
      ...COLUMNS.map((name) => of(name).toFixed(2)),
      ...speedups.map((ratio) => ratio.toFixed(2)),
    ];
    console.log(`| ${rows} x ${size} x ${size} | ${cells.join(" | ")} |`);
  }
}
// The runtimes keep threads of their own.
backend.dispose();
Deno.exit(0);
