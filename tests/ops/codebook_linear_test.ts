// Weight-only layers of many formats, one's own among them, against dequantizing first, on every backend.
import { assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import {
  defineCodebook,
  float16,
  float4E2M1,
  float8E4M3,
  float8E8M0,
  int3,
  int4,
  int8,
  nf4,
  uint2,
  uint4,
} from "../../formats/mod.ts";
import {
  type Backend,
  type CodebookLinearSpec,
  createReferenceBackend,
  createWasmBackend,
  createWebGpuBackend,
  type KernelSpec,
} from "../../kernels/mod.ts";
import { applyLinear, CodebookLinear, DeviceTensor } from "../../ops/mod.ts";
import {
  chooseQparams,
  createMatrix,
  createRandom,
  dequantize,
  type Matrix,
  perBlock,
  perChannel,
  perGroup,
  type QparamsOptions,
  quantize,
} from "../../quant/mod.ts";
import { gpuTest } from "../kernels/_gpu.ts";

const ROWS = 5;
const INPUTS = 72;
const OUTPUTS = 19;

/** Levels that no published format has. */
const golden = defineCodebook({ name: "golden", levels: [-1, -0.618, -0.382, 0, 0.236, 0.382, 0.618, 1] });

const FORMATS: Record<string, QparamsOptions> = {
  "int4 in groups of 24 with float16 scales": {
    format: int4,
    granularity: perGroup(24),
    scaleFormat: float16,
  },
  "int4 in ragged groups of 32": { format: int4, granularity: perGroup(32) },
  "uint4 with zero points": { format: uint4, granularity: perGroup(24), mapping: "asym" },
  "uint2 with zero points": { format: uint2, granularity: perGroup(8), mapping: "asym" },
  "int3 per channel": { format: int3, granularity: perChannel() },
  "int8 per channel": { format: int8, granularity: perChannel() },
  "nf4 in groups of 24": { format: nf4, granularity: perGroup(24) },
  "float4E2M1 with power-of-two scales": {
    format: float4E2M1,
    granularity: perGroup(32),
    scaleFormat: float8E8M0,
  },
  "float4E2M1 with float8 scales": { format: float4E2M1, granularity: perGroup(16), scaleFormat: float8E4M3 },
  "float8E4M3 in blocks": { format: float8E4M3, granularity: perBlock(8, 32) },
  "a codebook of one's own": { format: golden, granularity: perGroup(16) },
};

function randomMatrix(rows: number, cols: number, seed: number): Matrix {
  const { normal } = createRandom(seed);
  return createMatrix(rows, cols, Float32Array.from({ length: rows * cols }, normal));
}

const x = randomMatrix(ROWS, INPUTS, 1);
const weight = randomMatrix(OUTPUTS, INPUTS, 2);
const bias = randomMatrix(1, OUTPUTS, 3).data;

async function check(backend: Backend, options: QparamsOptions): Promise<void> {
  const quantized = quantize(weight, chooseQparams(weight, options));
  const rounded = dequantize(quantized);
  using layer = new CodebookLinear(backend, quantized, bias);
  using input = DeviceTensor.fromMatrix(backend, x);
  using output = await applyLinear(layer, input);
  const { data } = await output.toMatrix();
  for (let row = 0; row < ROWS; row++) {
    for (let column = 0; column < OUTPUTS; column++) {
      let expected = bias[column];
      for (let k = 0; k < INPUTS; k++) {
        expected += x.data[row * INPUTS + k] * rounded.data[column * INPUTS + k];
      }
      assertAlmostEquals(data[row * OUTPUTS + column], expected, 1e-4);
    }
  }
}

for (const [about, options] of Object.entries(FORMATS)) {
  Deno.test(`CodebookLinear runs ${about}`, async () => {
    using reference = createReferenceBackend();
    await check(reference, options);
    using wasm = await createWasmBackend();
    await check(wasm, options);
  });
}

gpuTest("CodebookLinear runs every format on WebGPU", async () => {
  using backend = await createWebGpuBackend();
  for (const options of Object.values(FORMATS)) await check(backend, options);
});

Deno.test("CodebookLinear says which levels a backend may compute instead of looking up", async () => {
  using backend = createReferenceBackend();
  const specs: KernelSpec[] = [];
  const prepare = backend.prepare.bind(backend);
  backend.prepare = (spec) => {
    specs.push(spec);
    return prepare(spec);
  };
  using x = DeviceTensor.fromMatrix(backend, createMatrix(1, INPUTS));
  const evenLevels = async (format: QparamsOptions["format"]): Promise<boolean | undefined> => {
    using layer = new CodebookLinear(backend, quantize(weight, chooseQparams(weight, { format })));
    using _y = await applyLinear(layer, x);
    return (specs.pop() as CodebookLinearSpec).evenLevels;
  };
  for (const format of [int3, int4, int8, uint2, uint4]) assertEquals(await evenLevels(format), true);
  for (const format of [nf4, float4E2M1, float8E4M3, golden]) assertEquals(await evenLevels(format), false);
});

Deno.test("CodebookLinear counts its stored bits", () => {
  using backend = createReferenceBackend();
  const bitsOf = (options: QparamsOptions) => {
    using layer = new CodebookLinear(backend, quantize(weight, chooseQparams(weight, options)));
    return layer.bitsPerWeight;
  };
  assertEquals(bitsOf({ format: int4, granularity: perGroup(24), scaleFormat: float16 }), 4 + 16 / 24);
  assertEquals(bitsOf({ format: uint4, granularity: perGroup(24), mapping: "asym" }), 4 + 36 / 24);
  assertLess(bitsOf({ format: float8E4M3, granularity: perBlock(8, 32) }), 8.3);
});

Deno.test("CodebookLinear rejects formats of more than 8 bits", () => {
  using backend = createReferenceBackend();
  const quantized = quantize(weight, chooseQparams(weight, { format: float16 }));
  assertThrows(
    () => new CodebookLinear(backend, quantized),
    TypeError,
    "Cannot run a layer of float16 codes",
  );
});
