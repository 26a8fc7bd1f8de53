import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import {
  absmaxQuantizer,
  cayleyStep,
  createMatrix,
  createMatrix64,
  createRandom,
  diagonalBlock,
  hadamard,
  identity64,
  learnRotation,
  type Matrix,
  type Matrix64,
  multiplyTransposed64,
  randomOrthogonal,
  type Rotation,
  subtract64,
} from "@quik/quant/quant";
import { createLayerFixture, normalMatrix, product, relativeError } from "./_fixture.ts";

function gaussian(size: number, seed: number): Matrix64 {
  return createMatrix64(size, size, Float64Array.from({ length: size * size }, createRandom(seed).normal));
}

function orthogonalityError(matrix: Matrix64): number {
  const { data } = subtract64(multiplyTransposed64(matrix, matrix), identity64(matrix.rows));
  return data.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
}

const int4 = absmaxQuantizer({ bits: 4 });

Deno.test("cayleyStep() stays orthogonal over many steps", () => {
  let rotation = randomOrthogonal(40, 1);
  for (let step = 0; step < 50; step++) rotation = cayleyStep(rotation, gaussian(40, step), 1.5);
  assertLess(orthogonalityError(rotation), 1e-10);
});

Deno.test("cayleyStep() descends: it finds the rotation nearest to a given one", () => {
  // The loss ||R - T||^2 has gradient 2 (R - T) and, for a rotation T in reach, minimum 0.
  const size = 12;
  let target = randomOrthogonal(size, 2);
  target = cayleyStep(identity64(size), subtract64(identity64(size), target), 0.3);
  let rotation = identity64(size);
  const loss = () => subtract64(rotation, target).data.reduce((sum, v) => sum + v * v, 0);
  let before = loss();
  for (let step = 0; step < 60; step++) {
    rotation = cayleyStep(rotation, subtract64(rotation, target), 1);
    assertLessOrEqual(loss(), before + 1e-12);
    before = loss();
  }
  assertLess(before, 1e-6);
});

Deno.test("cayleyStep() moves along the projected gradient", () => {
  const rotation = randomOrthogonal(8, 3);
  const gradient = gaussian(8, 4);
  const step = 1e-6;
  const moved = cayleyStep(rotation, gradient, step);
  const along = moved.data.reduce((sum, v, i) => sum + (v - rotation.data[i]) / step * gradient.data[i], 0);
  const skew = multiplyTransposed64(gradient, rotation);
  let expected = 0;
  for (let i = 0; i < 8; i++) {
    for (let j = 0; j < 8; j++) expected -= ((skew.data[i * 8 + j] - skew.data[j * 8 + i]) / 2) ** 2;
  }
  assertAlmostEquals(along / expected, 1, 1e-4);
  assertThrows(() => cayleyStep(rotation, gaussian(7, 1), 1), RangeError, "Cannot move");
});

Deno.test("learnRotation() beats the Hadamard rotation it starts from, which beats none", () => {
  const { layer: { weight }, inputs } = createLayerFixture({
    inputs: 64,
    outputs: 48,
    tokens: 128,
    outliers: 4,
  });
  const start = hadamard(64, { seed: 1 });
  const options = { quantizeActivation: int4, quantizeWeight: int4, start, steps: 40 };
  const { losses, learned, rotation } = learnRotation([{ weight, inputs }], options);
  assertEquals(losses.length, 41);
  assertLess(orthogonalityError(learned), 1e-10);
  const none = learnRotation([{ weight, inputs }], { ...options, start: undefined, steps: 0 }).losses[0];
  assertLess(losses[0], none / 2);
  assertLess(Math.min(...losses), 0.8 * losses[0]);
  const expected = product(inputs, weight);
  assertLess(relativeError(expected, product(rotation.apply(inputs), rotation.apply(weight))), 1e-5);
  const output = product(int4.forward(rotation.apply(inputs)), int4.forward(rotation.apply(weight)));
  const error = output.data.reduce((sum, y, i) => sum + (y - expected.data[i]) ** 2, 0);
  assertAlmostEquals(error / Math.min(...losses), 1, 1e-2);
});

Deno.test("learnRotation() generalizes to inputs it has not seen", () => {
  const fixture = createLayerFixture({ inputs: 48, outputs: 48, tokens: 512, outliers: 3 });
  const half = (from: number) =>
    createMatrix(256, 48, fixture.inputs.data.slice(from * 48, (from + 256) * 48));
  const { weight } = fixture.layer;
  const start = hadamard(48, { seed: 1 });
  const { rotation } = learnRotation([{ weight, inputs: half(0) }], {
    quantizeActivation: int4,
    quantizeWeight: int4,
    start,
    steps: 30,
  });
  const unseen = half(256);
  const expected = product(unseen, weight);
  const error = (r: Rotation) =>
    relativeError(expected, product(int4.forward(r.apply(unseen)), int4.forward(r.apply(weight))));
  assertLess(error(rotation), 0.95 * error(start));
});

Deno.test("learnRotation() shares a rotation between layers and can stay within blocks", () => {
  const [one, two] = [1, 2].map((seed) => {
    const { layer: { weight }, inputs } = createLayerFixture({ inputs: 32, outputs: 24, outliers: 2, seed });
    return { weight, inputs };
  });
  const options = { quantizeActivation: int4, start: hadamard(32), steps: 20, blockSize: 8 };
  const { learned, losses } = learnRotation([one, two], options);
  assertLess(Math.min(...losses), losses[0]);
  const alone = [one, two].map((layer) => learnRotation([layer], { ...options, steps: 0 }).losses[0]);
  assertAlmostEquals(losses[0] / (alone[0] + alone[1]), 1, 1e-9);
  learned.data.forEach((value, i) => {
    if (Math.floor(i / 32 / 8) !== Math.floor((i % 32) / 8)) assertEquals(value, 0);
  });
  assertThrows(() => learnRotation([], options), RangeError, "0 layers");
});

Deno.test("learnRotation() can learn one rotation for all blocks", () => {
  const { layer: { weight }, inputs } = createLayerFixture({ inputs: 32, outputs: 24, outliers: 2, seed: 4 });
  const options = { quantizeActivation: int4, start: hadamard(32), steps: 20, sharedBlocks: true };
  const { learned, losses } = learnRotation([{ weight, inputs }], { ...options, blockSize: 8 });
  assertLess(Math.min(...losses), losses[0]);
  const first = diagonalBlock(learned, 0, 8);
  assertLess(orthogonalityError(first), 1e-10);
  for (const start of [8, 16, 24]) assertEquals(diagonalBlock(learned, start, start + 8), first);
  const uneven = () => learnRotation([{ weight, inputs }], { ...options, blockSize: 12 });
  assertThrows(uneven, RangeError, "12 channels among 32");
});

Deno.test("learnRotation() has nothing to gain without quantization", () => {
  const { layer: { weight }, inputs } = createLayerFixture({
    inputs: 32,
    outputs: 16,
    tokens: 64,
    outliers: 2,
  });
  const exact = { forward: (x: Matrix) => x, backward: (_x: Matrix, gradient: Matrix) => gradient };
  const { losses } = learnRotation([{ weight, inputs }], { quantizeActivation: exact, steps: 1 });
  assert(losses.every((loss) => loss < 1e-6));
});

Deno.test("absmaxQuantizer() rounds rows by their largest magnitude", () => {
  const x = { rows: 3, cols: 4, data: Float32Array.of(7, 2.5, -3.5, 0.4, 0, 0, 0, 0, -14, 1, 3, 5) };
  assertEquals(int4.forward(x).data, Float32Array.of(7, 2, -4, 0, 0, 0, 0, 0, -14, 0, 4, 4));
  const clipped = absmaxQuantizer({ bits: 4, clipRatio: 0.5 }).forward(x);
  assertEquals(clipped.data.subarray(0, 4), Float32Array.of(3.5, 2.5, -3.5, 0.5));
  assertThrows(() => absmaxQuantizer({ bits: 1 }), RangeError, "takes 2");
});

Deno.test("absmaxQuantizer() gradient equals finite differences with the rounding residuals frozen", () => {
  const x = normalMatrix(2, 9, 1);
  const gradient = normalMatrix(2, 9, 2);
  for (const clipRatio of [1, 0.6]) {
    const top = 7;
    const peakOf = (row: number) =>
      x.data.subarray(row * 9, row * 9 + 9).reduce((max, v) => Math.max(max, Math.abs(v)), 0);
    const frozen = Array.from(x.data, (v, i) => {
      const ratio = v * top / (clipRatio * peakOf(Math.floor(i / 9)));
      const inside = Math.abs(ratio) <= top + 0.5;
      const code = Math.max(-top, Math.min(top, Math.round(ratio)));
      return { inside, code, residual: code - ratio };
    });
    const loss = (data: Float64Array) =>
      data.reduce((sum, v, i) => {
        const row = data.subarray(Math.floor(i / 9) * 9, Math.floor(i / 9) * 9 + 9);
        const scale = clipRatio * row.reduce((max, u) => Math.max(max, Math.abs(u)), 0) / top;
        const { inside, code, residual } = frozen[i];
        return sum + gradient.data[i] * (inside ? v + scale * residual : scale * code);
      }, 0);
    const result = absmaxQuantizer({ bits: 4, clipRatio }).backward(x, gradient);
    for (let i = 0; i < x.data.length; i++) {
      const at = (delta: number) => loss(Float64Array.from(x.data, (v, k) => k === i ? v + delta : v));
      assertAlmostEquals(result.data[i], (at(1e-6) - at(-1e-6)) / 2e-6, 1e-5);
    }
  }
});
