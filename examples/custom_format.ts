// A number format of one's own, from its definition to the GPU: clip search, GPTQ and the product all take it as they take
// the formats of the library, and no kernel is written for it. Run: deno run -A examples/custom_format.ts
import { defineCodebook, float4E2M1, int4, nf4, type NumberFormat } from "@quik/quant/formats";
import { chooseBackend } from "@quik/quant/kernels";
import { applyLinear, CodebookLinear, DeviceTensor } from "@quik/quant/ops";
import {
  chooseQparams,
  createMatrix,
  createRandom,
  errorMetrics,
  fakeQuantize,
  gptq,
  gridOf,
  hessianOf,
  type Matrix,
  mseClip,
  perGroup,
} from "@quik/quant/quant";

// The whole definition: sixteen levels that crowd around zero, where most weights are.
const power4 = defineCodebook({
  name: "power4",
  levels: Array.from({ length: 16 }, (_, code) => {
    const position = (code - 7.5) / 7.5;
    return Math.sign(position) * Math.abs(position) ** 1.4;
  }),
});

const GROUP = 64;
const [TOKENS, INPUTS, OUTPUTS] = [512, 256, 192];

/** Inputs whose features are correlated, four of them large, as the activations of language models are. */
function makeInputs(seed: number): Matrix {
  const random = createRandom(seed);
  const mixing = Float32Array.from({ length: 8 * INPUTS }, () => random.normal());
  const data = new Float32Array(TOKENS * INPUTS);
  for (let token = 0; token < TOKENS; token++) {
    const topics = Array.from({ length: 8 }, () => random.normal());
    for (let i = 0; i < INPUTS; i++) {
      const shared = topics.reduce((sum, topic, t) => sum + topic * mixing[t * INPUTS + i], 0);
      data[token * INPUTS + i] = (shared / 3 + random.normal()) * (i % 61 === 7 ? 15 : 1);
    }
  }
  return createMatrix(TOKENS, INPUTS, data);
}

function makeWeight(seed: number): Matrix {
  const random = createRandom(seed);
  const data = Float32Array.from({ length: OUTPUTS * INPUTS }, () => 0.05 * random.normal());
  return createMatrix(OUTPUTS, INPUTS, data);
}

/** `x * weight^T`. */
function product(x: Matrix, weight: Matrix): Float32Array<ArrayBuffer> {
  const y = new Float32Array(x.rows * weight.rows);
  for (let token = 0; token < x.rows; token++) {
    for (let output = 0; output < weight.rows; output++) {
      let sum = 0;
      for (let i = 0; i < x.cols; i++) sum += x.data[token * x.cols + i] * weight.data[output * x.cols + i];
      y[token * weight.rows + output] = sum;
    }
  }
  return y;
}

/** GPTQ with clip search: codes with the parameters that give them meaning. */
function quantizeWithGptq(weight: Matrix, inputs: Matrix, format: NumberFormat) {
  const result = gptq(weight, { hessian: hessianOf(inputs), format, clip: true, groupSize: GROUP });
  const grid = gridOf(perGroup(GROUP), weight);
  const levels = { min: format.min, max: format.max };
  return {
    ...result,
    quantized: { codes: result.codes, qparams: { format, grid, levels, scale: result.scales } },
  };
}

const inputs = makeInputs(1);
const weight = makeWeight(2);
const exact = product(inputs, weight);
const percentError = (rounded: Matrix) =>
  `${(100 * errorMetrics(exact, product(inputs, rounded)).relativeError).toFixed(2)}%`.padStart(8);

console.log("Relative error of a layer's output, groups of 64:");
console.log("format      rounding  + clip search  + GPTQ");
for (const format of [power4, nf4, float4E2M1, int4]) {
  const options = { format, granularity: perGroup(GROUP) };
  const rounded = fakeQuantize(weight, chooseQparams(weight, options));
  const clipped = fakeQuantize(weight, chooseQparams(weight, { ...options, clip: mseClip() }));
  const compensated = quantizeWithGptq(weight, inputs, format).weight;
  console.log(
    format.name.padEnd(11),
    percentError(rounded),
    percentError(clipped).padStart(14),
    percentError(compensated),
  );
}

// The same product on the GPU, from packed codes, through the kernel that serves every format.
const hasAdapter = await navigator.gpu?.requestAdapter() != null;
const { backend, reason } = await chooseBackend(hasAdapter ? "webgpu" : "reference");
const { quantized, weight: dequantized } = quantizeWithGptq(weight, inputs, power4);
using layer = new CodebookLinear(backend, quantized);
using x = DeviceTensor.fromMatrix(backend, inputs);
using y = await applyLinear(layer, x);
const { relativeError } = errorMetrics(product(inputs, dequantized), (await y.toMatrix()).data);
console.log(`\n${power4.name} at ${layer.bitsPerWeight} bits per weight on ${reason}`);
console.log(`differs from the dequantized product by ${relativeError.toExponential(1)}`);
backend.dispose();
if (!(relativeError < 1e-4)) throw new Error("The backend's product is wrong");
