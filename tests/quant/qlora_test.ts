import { assertAlmostEquals, assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import { float8E4M3, int8, levelsOf, nf4 } from "@quik/quant/formats";
import {
  blockBits,
  createAdam,
  createAdapter,
  createMatrix,
  createRandom,
  dequantizeBlocks,
  doubleDequantize,
  doubleQuantize,
  lowRankMatrix,
  type Matrix,
  qloraBackward,
  qloraForward,
  quantizeBlocks,
} from "@quik/quant/quant";
import { normalMatrix, product, relativeError } from "./_fixture.ts";

function blockAbsmax(weight: Matrix, blockSize = 64): Float32Array {
  const absmax = new Float32Array(Math.ceil(weight.data.length / blockSize));
  weight.data.forEach((value, i) => {
    const block = Math.floor(i / blockSize);
    absmax[block] = Math.max(absmax[block], Math.abs(value));
  });
  return absmax;
}

Deno.test("quantizeBlocks() stays within half of NF4's widest gap, last block short", () => {
  const weight = normalMatrix(9, 50, 1);
  const absmax = blockAbsmax(weight);
  const restored = dequantizeBlocks(quantizeBlocks(weight, { doubleQuantization: false }));
  for (let i = 0; i < weight.data.length; i++) {
    const bound = 0.1519036 * absmax[Math.floor(i / 64)];
    assertLessOrEqual(Math.abs(restored.data[i] - weight.data[i]), bound);
  }
});

Deno.test("quantizeBlocks() reproduces block maxima, zeros and anything on its levels", () => {
  const levels = levelsOf(nf4);
  const { integer } = createRandom(2);
  const data = Float32Array.from(
    { length: 256 },
    (_, i) => Math.fround(3.5 * (i % 64 === 7 ? 1 : levels[integer(16)])),
  );
  const weight = createMatrix(4, 64, data);
  assertEquals(dequantizeBlocks(quantizeBlocks(weight, { doubleQuantization: false })), weight);
  const zeros = createMatrix(2, 64);
  assertEquals(dequantizeBlocks(quantizeBlocks(zeros)), zeros);
});

Deno.test("quantizeBlocks() relative error on normal weights is the golden .0920", () => {
  const weight = normalMatrix(512, 512, 3);
  const plain = dequantizeBlocks(quantizeBlocks(weight, { doubleQuantization: false }));
  assertAlmostEquals(relativeError(weight, plain), 0.092, 0.00092);
  assertLess(relativeError(weight, dequantizeBlocks(quantizeBlocks(weight))), 0.0935);
});

Deno.test("blockBits() of QLoRA is 4.127 bits per weight, 4.5 without double quantization", () => {
  const weight = normalMatrix(256, 256, 4);
  const bits = (options = {}) => blockBits(quantizeBlocks(weight, options)) / weight.data.length;
  assertAlmostEquals(bits(), 4 + 8 / 64 + 32 / (64 * 256) + 32 / 65536, 1e-9);
  assertEquals(bits({ doubleQuantization: false }), 4.5);
});

Deno.test("doubleQuantize() moves scales by less than 0.6% of their mean in every format", () => {
  const absmax = blockAbsmax(normalMatrix(512, 512, 5));
  const mean = absmax.reduce((sum, a) => sum + a, 0) / absmax.length;
  for (const [format, limit] of [[undefined, 0.006], [int8, 0.006], [float8E4M3, 0.012]] as const) {
    const restored = doubleDequantize(doubleQuantize(absmax, { format }));
    const error = Math.sqrt(restored.reduce((sum, a, i) => sum + (a - absmax[i]) ** 2, 0) / absmax.length);
    assertLess(error / mean, limit);
  }
});

Deno.test("doubleQuantize() is exact on equal scales", () => {
  const scales = new Float32Array(300).fill(0.375);
  assertEquals(doubleDequantize(doubleQuantize(scales)), scales);
});

Deno.test("a fresh adapter changes nothing, and training it recovers a low-rank change of the weight", () => {
  const x = normalMatrix(64, 24, 1);
  const original = normalMatrix(16, 24, 2);
  const weight = dequantizeBlocks(quantizeBlocks(original));
  const adapter = createAdapter(weight, { rank: 4, seed: 1 });
  const layer = { weight, adapter, scaling: 2 };
  assertEquals(relativeError(product(x, weight), qloraForward(x, layer)) < 1e-6, true);

  const change = lowRankMatrix({ up: normalMatrix(16, 2, 3), down: normalMatrix(2, 24, 4) });
  const target = product(x, createMatrix(16, 24, original.data.map((w, i) => w + 0.1 * change.data[i])));
  const before = relativeError(target, qloraForward(x, layer));
  const [up, down] = [createAdam(adapter.up.data.length), createAdam(adapter.down.data.length)];
  for (let step = 0; step < 150; step++) {
    const output = qloraForward(x, layer);
    const gradient = createMatrix(64, 16, output.data.map((y, i) => y - target.data[i]));
    const gradients = qloraBackward(x, gradient, layer);
    up.step(adapter.up.data, gradients.up.data, 0.02);
    down.step(adapter.down.data, gradients.down.data, 0.02);
  }
  assertLess(relativeError(target, qloraForward(x, layer)), before / 2);
});

Deno.test("qloraBackward() by the input equals finite differences", () => {
  const x = normalMatrix(2, 8, 1);
  const layer = {
    weight: normalMatrix(5, 8, 2),
    adapter: { up: normalMatrix(5, 2, 3), down: normalMatrix(2, 8, 4) },
  };
  const gradient = normalMatrix(2, 5, 5);
  const loss = (input: Matrix) =>
    qloraForward(input, layer).data.reduce((sum, y, i) => sum + y * gradient.data[i], 0);
  const { input } = qloraBackward(x, gradient, layer);
  for (let i = 0; i < x.data.length; i++) {
    const moved = (delta: number) => createMatrix(2, 8, x.data.map((v, k) => k === i ? v + delta : v));
    assertAlmostEquals(input.data[i], loss(moved(0.5)) - loss(moved(-0.5)), 1e-4);
  }
});
