import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import {
  blockDiagonalRotation,
  blockRotation,
  composeRotations,
  createMatrix,
  createMatrix64,
  denseRotation,
  hadamard,
  hadamardMatrix,
  type Matrix,
  type Matrix64,
  randomOrthogonal,
  rotateOutputs,
  type Rotation,
  walshHadamard,
} from "@quik/quant/quant";
import { normalMatrix, product, relativeError } from "./_fixture.ts";

/** The orders behind the hidden and feed-forward sizes of published models. */
const ORDERS = [
  1,
  2,
  4,
  8,
  12,
  20,
  24,
  28,
  36,
  40,
  44,
  48,
  52,
  60,
  64,
  68,
  76,
  84,
  108,
  124,
  140,
  148,
  156,
  172,
];
const MODEL_SIZES = [
  ...[768, 896, 1536, 2560, 3072, 3584, 5120, 6656, 7168, 12288, 4864, 5632, 6912, 8960, 9728],
  ...[11008, 13824, 14336, 17920, 18944, 27648, 28672],
];

Deno.test("hadamardMatrix() gives orthogonal rows of signs for every order", () => {
  for (const order of ORDERS) {
    const h = hadamardMatrix(order);
    assert(h, `no Hadamard matrix of order ${order}`);
    assert(h.every((entry) => entry === 1 || entry === -1));
    for (let i = 0; i < order; i++) {
      for (let j = 0; j <= i; j++) {
        let dot = 0;
        for (let k = 0; k < order; k++) dot += h[i * order + k] * h[j * order + k];
        assertEquals(dot, i === j ? order : 0);
      }
    }
  }
  for (const order of [0, 3, 6, 92, 2.5]) assertEquals(hadamardMatrix(order), undefined);
});

Deno.test("hadamard() covers every model size with one matrix and preserves row norms", () => {
  for (const size of MODEL_SIZES) {
    const rotation = hadamard(size, { seed: 1 });
    assertEquals(rotation.blockSize, size);
    const x = normalMatrix(1, size, size);
    const y = rotation.apply(x);
    const norm = (m: Matrix) => Math.sqrt(m.data.reduce((sum, v) => sum + v * v, 0));
    assertAlmostEquals(norm(y) / norm(x), 1, 1e-6);
    assertLess(relativeError(x, rotation.applyInverse(y)), 1e-6);
  }
});

Deno.test("hadamard() multiplies by the explicit matrix, transposed for the inverse", () => {
  for (const size of [8, 12, 56, 172, 24 * 4]) {
    const { apply, applyInverse } = hadamard(size);
    const identity = createMatrix(size, size);
    for (let i = 0; i < size; i++) identity.data[i * size + i] = 1;
    const forward = apply(identity);
    const inverse = applyInverse(identity);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        assertAlmostEquals(Math.abs(forward.data[i * size + j]), 1 / Math.sqrt(size), 1e-7);
        assertEquals(forward.data[i * size + j], inverse.data[j * size + i]);
      }
    }
  }
});

Deno.test("walshHadamard() equals Sylvester's matrix", () => {
  const h = hadamardMatrix(2)!;
  const sylvester8 = (i: number, j: number) =>
    [0, 1, 2].reduce((sign, bit) => sign * h[2 * ((i >> bit) & 1) + ((j >> bit) & 1)], 1);
  for (let i = 0; i < 8; i++) {
    const row = new Float64Array(8);
    row[i] = 1;
    walshHadamard(row);
    assertEquals(row, Float64Array.from({ length: 8 }, (_, j) => sylvester8(i, j)));
  }
});

/** Random orthogonal blocks along the diagonal. */
function blockDiagonal(sizes: number[]): Matrix64 {
  const size = sizes.reduce((sum, n) => sum + n, 0);
  const result = createMatrix64(size, size);
  let offset = 0;
  for (const n of sizes) {
    const block = randomOrthogonal(n, n);
    for (let i = 0; i < n; i++) {
      result.data.set(block.data.subarray(i * n, (i + 1) * n), (offset + i) * size + offset);
    }
    offset += n;
  }
  return result;
}

Deno.test("rotations are an identity of the linear layer", () => {
  const size = 48;
  const x = normalMatrix(17, size, 1);
  const w = normalMatrix(13, size, 2);
  const rotations: Rotation[] = [
    hadamard(size),
    hadamard(size, { seed: 3 }),
    hadamard(size, { seed: 3, blockSize: 16 }),
    denseRotation(randomOrthogonal(size, 4)),
    blockRotation(hadamard(12, { seed: 1 }), 4),
    blockDiagonalRotation(blockDiagonal([20, 20, 8]), 20),
    blockDiagonalRotation(randomOrthogonal(size, 9), size),
    composeRotations(hadamard(size, { seed: 5 }), denseRotation(randomOrthogonal(size, 6))),
  ];
  for (const rotation of rotations) {
    assertEquals(rotation.size, size);
    assertLess(relativeError(product(x, w), product(rotation.apply(x), rotation.apply(w))), 1e-6);
    assertLess(relativeError(x, rotation.applyInverse(rotation.apply(x))), 1e-6);
  }
});

Deno.test("rotateOutputs() rotates what the layer returns", () => {
  const x = normalMatrix(5, 16, 1);
  const w = normalMatrix(24, 16, 2);
  const rotation = hadamard(24, { seed: 7 });
  assertLess(relativeError(rotation.apply(product(x, w)), product(x, rotateOutputs(w, rotation))), 1e-6);
});

Deno.test("hadamard() falls back to blocks when no matrix of the size is known", () => {
  assertEquals(hadamard(92).blockSize, 4);
  assertEquals(hadamard(2 * 92).blockSize, 8);
  assertEquals(hadamard(7).blockSize, 1);
  assertLess(
    relativeError(normalMatrix(3, 92), hadamard(92).applyInverse(hadamard(92).apply(normalMatrix(3, 92)))),
    1e-6,
  );
});

Deno.test("hadamard() spreads outliers: a one-hot row becomes flat and incoherence falls", () => {
  const size = 512;
  const oneHot = createMatrix(1, size);
  oneHot.data[77] = 100;
  for (const value of hadamard(size, { seed: 1 }).apply(oneHot).data) {
    assertAlmostEquals(Math.abs(value), 100 / Math.sqrt(size), 1e-5);
  }
  const x = normalMatrix(64, size, 2);
  for (let t = 0; t < x.rows; t++) for (const j of [3, 90, 200, 501]) x.data[t * size + j] *= 100;
  const incoherence = (m: Matrix) => {
    const square = m.data.reduce((sum, v) => sum + v * v, 0);
    return m.data.reduce((max, v) => Math.max(max, Math.abs(v)), 0) * Math.sqrt(m.data.length / square);
  };
  assert(incoherence(x) > 25);
  assertLess(incoherence(hadamard(size, { seed: 1 }).apply(x)), 6);
});

Deno.test("rotations reject sizes that do not fit", () => {
  assertThrows(() => hadamard(0), RangeError, "positive integer");
  assertThrows(() => hadamard(12, { blockSize: 8 }), RangeError, "must divide");
  assertThrows(() => hadamard(12, { blockSize: 3 }), RangeError, "known matrix");
  assertThrows(() => hadamard(8).apply(createMatrix(1, 4)), RangeError, "acts on 8");
  assertThrows(() => composeRotations(hadamard(8), hadamard(4)), RangeError, "Cannot compose");
});
