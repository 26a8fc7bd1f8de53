import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import { float16 } from "@quik/quant/formats";
import {
  createMatrix,
  dequantizeMinMaxGroups,
  fakeQuantizeKeys,
  fakeQuantizeValues,
  KiviCache,
  type Matrix,
  quantizeMinMaxGroups,
} from "@quik/quant/quant";
import { normalMatrix, relativeError } from "./_fixture.ts";

const HEADS = { kvHeads: 2, headSize: 32 };

function halfMatrix(rows: number, cols: number, seed: number): Matrix {
  const { data } = normalMatrix(rows, cols, seed);
  return createMatrix(rows, cols, data.map((value) => float16.decode(float16.encode(value))));
}

function rowsOf(matrix: Matrix, start: number, end: number): Matrix {
  return createMatrix(end - start, matrix.cols, matrix.data.slice(start * matrix.cols, end * matrix.cols));
}

/** Keys whose channel 5 is large for every token. */
function outlierKeys(tokens: number): Matrix {
  const keys = halfMatrix(tokens, 64, 9);
  for (let t = 0; t < tokens; t++) keys.data[t * 64 + 5] = keys.data[t * 64 + 5] + 40;
  return keys;
}

Deno.test("quantizeMinMaxGroups() stays within half a step, ragged groups included", () => {
  for (const [rows, cols, groupSize] of [[3, 64, 32], [2, 50, 16], [5, 7, 32]]) {
    const matrix = halfMatrix(rows, cols, cols);
    for (const bits of [2, 3, 4, 8]) {
      const quantized = quantizeMinMaxGroups(matrix, { bits, groupSize });
      const groups = Math.ceil(cols / groupSize);
      assertEquals(quantized.scales.length, rows * groups);
      assertEquals(quantized.codes.length, Math.ceil(rows * cols * bits / 8));
      const restored = dequantizeMinMaxGroups(quantized);
      for (let i = 0; i < matrix.data.length; i++) {
        const group = Math.floor(i / cols) * groups + Math.floor((i % cols) / groupSize);
        const step = quantized.scales[group];
        assertLessOrEqual(Math.abs(restored.data[i] - matrix.data[i]), step / 2 * 1.0001 + 1e-7);
      }
    }
  }
});

Deno.test("quantizeMinMaxGroups() is exact on constant groups and zeros", () => {
  const constant = createMatrix(1, 32, new Float32Array(32).fill(3.25));
  assertEquals(dequantizeMinMaxGroups(quantizeMinMaxGroups(constant, { bits: 2 })), constant);
  const zeros = createMatrix(2, 32);
  assertEquals(dequantizeMinMaxGroups(quantizeMinMaxGroups(zeros, { bits: 4 })), zeros);
  assertThrows(() => quantizeMinMaxGroups(zeros, { bits: 4, groupSize: 0 }), RangeError, "positive integer");
});

Deno.test("KiviCache keeps its invariants after any sequence of appends", () => {
  const residual = 64;
  const cache = new KiviCache(HEADS, { residual });
  const keys = halfMatrix(300, 64, 1);
  const values = halfMatrix(300, 64, 2);
  let tokens = 0;
  for (const count of [1, 5, 57, 1, 1, 130, 64, 3, 38]) {
    cache.append(rowsOf(keys, tokens, tokens + count), rowsOf(values, tokens, tokens + count));
    tokens += count;
    assertEquals(cache.tokens, tokens);
    assertEquals(cache.quantizedKeys, tokens - tokens % residual);
    assertEquals(cache.quantizedValues, Math.max(0, tokens - residual));
    assertEquals(cache.keys().rows, tokens);
    const [exactKeys, exactValues] = [cache.quantizedKeys, cache.quantizedValues];
    assertEquals(rowsOf(cache.keys(), exactKeys, tokens), rowsOf(keys, exactKeys, tokens));
    assertEquals(rowsOf(cache.values(), exactValues, tokens), rowsOf(values, exactValues, tokens));
  }
  const atOnce = new KiviCache(HEADS, { residual });
  atOnce.append(keys, values);
  assertEquals(atOnce.keys(), cache.keys());
  assertEquals(atOnce.values(), cache.values());
});

Deno.test("KiviCache attention is exact while everything fits the residual window", () => {
  const [keys, values, query] = [halfMatrix(60, 64, 3), halfMatrix(60, 64, 4), normalMatrix(1, 128, 5).data];
  const exact = new KiviCache(HEADS, { residual: 1024 });
  const window = new KiviCache(HEADS, { residual: 64 });
  for (const cache of [exact, window]) cache.append(keys, values);
  assertEquals(window.attend(query), exact.attend(query));
  // Against the definition, for query head 3, which reads key-value head 1.
  const scores = Array.from({ length: 60 }, (_, t) => {
    let dot = 0;
    for (let i = 0; i < 32; i++) dot += query[96 + i] * keys.data[t * 64 + 32 + i];
    return Math.exp(dot / Math.sqrt(32));
  });
  const sum = scores.reduce((a, b) => a + b);
  const expected = scores.reduce((total, score, t) => total + score / sum * values.data[t * 64 + 32 + 7], 0);
  assertAlmostEquals(exact.attend(query)[96 + 7], expected, 1e-6);
});

Deno.test("KiviCache error falls with bits, and 2 bits store 3 bits per value beyond the window", () => {
  const [keys, values, query] = [halfMatrix(256, 64, 6), halfMatrix(256, 64, 7), normalMatrix(1, 64, 8).data];
  const outputs = [2, 4, 8, 0].map((bits) => {
    const options = bits ? { keyBits: bits, valueBits: bits, residual: 32 } : { residual: 1024 };
    const cache = new KiviCache(HEADS, options);
    cache.append(keys, values);
    if (bits === 2) assertAlmostEquals(cache.bitsPerValue, 3 + 13 * 32 / 256 / 2, 1e-9);
    return createMatrix(1, 64, cache.attend(query));
  });
  const errors = outputs.slice(0, 3).map((output) => relativeError(outputs[3], output));
  assertLess(errors[1], errors[0] / 3);
  assertLess(errors[2], errors[1] / 5);
});

Deno.test("keys with an outlier channel lose less per channel than per token", () => {
  const keys = outlierKeys(128);
  const perChannel = fakeQuantizeKeys(keys, { bits: 2 });
  const perToken = fakeQuantizeValues(keys, { bits: 2 });
  assertLess(relativeError(keys, perChannel), 0.6 * relativeError(keys, perToken));
  const query = normalMatrix(1, 64, 10).data;
  const probabilities = (k: Matrix): Matrix => {
    const scores = Array.from({ length: k.rows }, (_, t) => {
      let dot = 0;
      for (let i = 0; i < 64; i++) dot += query[i] * k.data[t * 64 + i];
      return dot / 8;
    });
    const largest = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - largest));
    const sum = weights.reduce((a, b) => a + b);
    return createMatrix(1, k.rows, Float32Array.from(weights, (weight) => weight / sum));
  };
  const exact = probabilities(keys);
  assertLess(relativeError(exact, probabilities(perChannel)), relativeError(exact, probabilities(perToken)));
});

Deno.test("fakeQuantizeKeys() and fakeQuantizeValues() leave the residual exact, as the cache does", () => {
  const [keys, values] = [halfMatrix(100, 64, 1), halfMatrix(100, 64, 2)];
  const cache = new KiviCache(HEADS, { residual: 32 });
  cache.append(keys, values);
  assertEquals(fakeQuantizeKeys(keys, { bits: 2, residual: 32 }), cache.keys());
  assertEquals(fakeQuantizeValues(values, { bits: 2, residual: 32 }), cache.values());
  assert(relativeError(values, fakeQuantizeValues(values, { bits: 2 })) > 0);
});

Deno.test("KiviCache rejects shapes and windows that do not fit", () => {
  assertThrows(() => new KiviCache(HEADS, { residual: 40 }), RangeError, "multiple");
  const cache = new KiviCache(HEADS);
  assertThrows(() => cache.append(createMatrix(1, 63), createMatrix(1, 64)), RangeError, "64 wide");
  assertThrows(() => cache.attend(new Float32Array(64)), RangeError, "Cannot attend");
});
