// Layers of any method on a backend: the same outputs as their reference forward.
import { type Backend, createReferenceBackend, createWasmBackend } from "../../kernels/mod.ts";
import { applyLinear, applyLinears, DeviceTensor, TermsLinear } from "../../ops/mod.ts";
import {
  calibrate,
  composeMethod,
  createMatrix,
  createRandom,
  integerGrid,
  linearFromTerms,
  type Matrix,
  nearestRounder,
  perTokenActivations,
  type QuantizedLinear,
} from "../../quant/mod.ts";
import { assertAlmostEquals, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";

const random = createRandom(5);
const matrix = (rows: number, cols: number): Matrix =>
  createMatrix(rows, cols, Float32Array.from({ length: rows * cols }, () => random.normal()));

const SHAPE = { inputs: 24, outputs: 7 };
const input = matrix(5, SHAPE.inputs);
const weight = matrix(SHAPE.outputs, SHAPE.inputs);
const bias = matrix(1, SHAPE.outputs).data;

async function run(backend: Backend, quantized: QuantizedLinear): Promise<Matrix> {
  using layer = new TermsLinear(backend, quantized, SHAPE);
  using x = DeviceTensor.fromMatrix(backend, input);
  using y = await applyLinear(layer, x);
  return await y.toMatrix();
}

function relativeError(actual: Matrix, expected: Matrix): number {
  assertEquals([actual.rows, actual.cols], [expected.rows, expected.cols]);
  return Math.hypot(...actual.data.map((value, i) => value - expected.data[i])) /
    Math.hypot(...expected.data);
}

const w4a4 = composeMethod({
  name: "w4a4",
  rounder: nearestRounder({ grid: integerGrid({ bits: 4 }) }),
  activations: perTokenActivations({ bits: 4 }),
});

/** Two terms that see different inputs, one of another width, and a bias. */
const twoTerms = linearFromTerms({
  terms: [
    { weight },
    { weight: matrix(SHAPE.outputs, 1), input: (x) => createMatrix(x.rows, 1, x.data.slice(0, x.rows)) },
  ],
  bias,
  bitsPerWeight: 20,
});

for (const name of ["reference", "wasm"] as const) {
  Deno.test(`TermsLinear gives what forward() gives: ${name}`, async () => {
    using backend = name === "wasm" ? await createWasmBackend() : createReferenceBackend();
    const quantized = await w4a4.quantize({ name: "layer", weight, bias }, calibrate(input));
    for (const layer of [quantized, twoTerms]) {
      assertLess(relativeError(await run(backend, layer), layer.forward(input)), 1e-6);
    }
  });
}

Deno.test("TermsLinear runs a layer without terms on the host", async () => {
  using backend = createReferenceBackend();
  const { forward } = twoTerms;
  assertEquals(await run(backend, { bitsPerWeight: 4, forward }), forward(input));
  const wrong: QuantizedLinear = { bitsPerWeight: 4, forward: () => createMatrix(1, 2) };
  await assertRejects(() => run(backend, wrong), RangeError, "[1, 2]: it must be [5, 7]");
});

Deno.test("TermsLinear layers share an input and its copy on the host", async () => {
  using backend = createReferenceBackend();
  const seen: Matrix[] = [];
  const spy = linearFromTerms({
    terms: [{ weight, input: (x) => (seen.push(x), x) }],
    bitsPerWeight: 32,
  });
  using a = new TermsLinear(backend, spy, SHAPE);
  using b = new TermsLinear(backend, spy, SHAPE);
  using x = DeviceTensor.fromMatrix(backend, input);
  for (const output of await applyLinears([a, b], x)) output.dispose();
  assertEquals(seen.length, 2);
  assertEquals(seen[0] === seen[1], true);
  assertAlmostEquals(a.bitsPerWeight, 32);
});

Deno.test("TermsLinear refuses terms and biases of another shape", () => {
  using backend = createReferenceBackend();
  const layer = linearFromTerms({ terms: [{ weight: matrix(3, 4) }], bitsPerWeight: 32 });
  assertThrows(
    () => new TermsLinear(backend, layer, SHAPE),
    RangeError,
    "[3, 4] in a layer of shape [7, 24]",
  );
  const biased = {
    ...linearFromTerms({ terms: [{ weight }], bitsPerWeight: 32 }),
    bias: new Float32Array(2),
  };
  assertThrows(() => new TermsLinear(backend, biased, SHAPE), RangeError, "a bias of 2 values");
});
