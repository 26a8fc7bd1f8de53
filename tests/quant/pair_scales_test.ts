// Scales between queries and keys and between values and output projections, on the weights of one attention.
import {
  type AttentionHeads,
  type BlockWeights,
  calibrate,
  createMatrix,
  type Matrix,
  queryKeyScale,
  scaleQueryKey,
  scaleValueOutput,
  toQueryHeads,
  valueOutputScale,
} from "@quik/quant/quant";
import { assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { normalMatrix, product, relativeError } from "./_fixture.ts";

const HEADS: AttentionHeads = { heads: 6, kvHeads: 3, headSize: 8 };
const HIDDEN = 20;
const [ALL, SHARED] = [HEADS.heads * HEADS.headSize, HEADS.kvHeads * HEADS.headSize];

const norm = { weight: new Float32Array(HIDDEN).fill(1) };
const linear = (outputs: number, inputs: number, seed: number) => ({
  weight: normalMatrix(outputs, inputs, seed),
  bias: normalMatrix(1, outputs, seed + 100).data,
});
const block: BlockWeights = {
  attentionNorm: norm,
  query: linear(ALL, HIDDEN, 1),
  key: linear(SHARED, HIDDEN, 2),
  value: linear(SHARED, HIDDEN, 3),
  output: linear(HIDDEN, ALL, 4),
  feedForwardNorm: norm,
  up: [linear(12, HIDDEN, 5)],
  down: linear(HIDDEN, 12, 6),
};
const x = normalMatrix(9, HIDDEN, 7);

function apply({ weight, bias }: BlockWeights["query"], input: Matrix): Matrix {
  const y = product(input, weight);
  return createMatrix(y.rows, y.cols, y.data.map((value, i) => value + bias![i % y.cols]));
}

/** Turns each head of each row by another angle, as a rotary embedding does. */
function turned({ data, rows, cols }: Matrix): Matrix {
  const half = HEADS.headSize / 2, result = createMatrix(rows, cols);
  for (let i = 0; i < data.length; i++) {
    const row = Math.floor(i / cols), at = i % HEADS.headSize, first = at < half;
    const angle = row * (0.3 + (at % half)), other = first ? -data[i + half] : data[i - half];
    result.data[i] = data[i] * Math.cos(angle) + other * Math.sin(angle);
  }
  return result;
}

/** Scores of every query head, `[heads * tokens, tokens]`. */
function scores(weights: BlockWeights): Matrix {
  const queries = turned(apply(weights.query, x)), keys = turned(apply(weights.key, x));
  const result = createMatrix(HEADS.heads * x.rows, x.rows);
  for (let head = 0; head < HEADS.heads; head++) {
    const shared = Math.floor(head * HEADS.kvHeads / HEADS.heads);
    for (let i = 0; i < x.rows; i++) {
      for (let j = 0; j < x.rows; j++) {
        let sum = 0;
        for (let c = 0; c < HEADS.headSize; c++) {
          sum += queries.data[i * ALL + head * HEADS.headSize + c] *
            keys.data[j * SHARED + shared * HEADS.headSize + c];
        }
        result.data[(head * x.rows + i) * x.rows + j] = sum;
      }
    }
  }
  return result;
}

/** Values of every query head through the output projection. */
function projected(weights: BlockWeights): Matrix {
  const values = apply(weights.value, x), attended = createMatrix(x.rows, ALL);
  for (let row = 0; row < x.rows; row++) {
    attended.data.set(toQueryHeads(values.data.subarray(row * SHARED, (row + 1) * SHARED), HEADS), row * ALL);
  }
  return apply(weights.output, attended);
}

Deno.test("scaleQueryKey() leaves scores behind the rotary embedding as they were", () => {
  for (const alpha of [0, 0.4, 1]) {
    const scale = queryKeyScale(apply(block.key, x), { ...HEADS, alpha, rotary: true });
    assertLess(relativeError(scores(block), scores(scaleQueryKey(block, scale, HEADS))), 1e-5);
    for (const [i, s] of scale.entries()) {
      if (i % 8 < 4) assertEquals(s, scale[i + 4], "channels that are turned together share a scale");
      if (alpha === 0) assertAlmostEquals(s, 1, 1e-6);
    }
  }
});

Deno.test("queryKeyScale() evens out the ranges of keys", () => {
  const keys = normalMatrix(200, SHARED, 8);
  keys.data.forEach((_, i) => keys.data[i] *= 1 + 9 * Number(i % 8 === 2));
  const spread = (matrix: Matrix): number => {
    const { absmax: maxima } = calibrate(createMatrix(matrix.rows, SHARED, matrix.data), { hessian: false });
    const head = maxima.subarray(0, 8);
    return Math.max(...head) / Math.min(...head);
  };
  const scale = queryKeyScale(keys, { ...HEADS, alpha: 1, rotary: false });
  const scaled = createMatrix(keys.rows, keys.cols, keys.data.map((k, i) => k * scale[i % SHARED]));
  assertLess(5, spread(keys));
  assertAlmostEquals(spread(scaled), 1, 1e-5);
});

Deno.test("scaleValueOutput() leaves what the output projection gives as it was", () => {
  const attended = normalMatrix(30, ALL, 9);
  for (const alpha of [0, 0.5, 1]) {
    const scale = valueOutputScale(attended, block.output.weight, { ...HEADS, alpha });
    assertEquals(scale.length, SHARED);
    assertLess(relativeError(projected(block), projected(scaleValueOutput(block, scale, HEADS))), 1e-5);
  }
});

Deno.test("pairs refuse scales that do not fit, and heads that are normed afterwards", () => {
  const scale = new Float32Array(SHARED).fill(2), headNorm = { weight: new Float32Array(8).fill(1) };
  assertThrows(() => scaleQueryKey(block, scale.subarray(1), HEADS), RangeError, "3 heads of 8 by 23");
  assertThrows(() => scaleValueOutput(block, scale.map((_, i) => i), HEADS), RangeError, "channel 0 by 0");
  const normed = { ...block, queryNorm: headNorm, keyNorm: headNorm };
  assertThrows(() => scaleQueryKey(normed, scale, HEADS), RangeError, "normed afterwards");
});
