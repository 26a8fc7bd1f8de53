import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import { createMatrix, integerGrid, type Matrix, svdQuant, svdQuantForward } from "@quik/quant/quant";
import { createLayerFixture, product, relativeError } from "./_fixture.ts";

/** Symmetric int4 in groups along each row, as SVDQuant's weights and activations are. */
const int4 = (matrix: Matrix): Matrix => groupedInt4(matrix, 16);
const whole = (matrix: Matrix): Matrix => groupedInt4(matrix, 64);

function groupedInt4(matrix: Matrix, groupSize: number): Matrix {
  const grid = integerGrid({ bits: 4 });
  const result = createMatrix(matrix.rows, matrix.cols);
  for (let start = 0; start < matrix.data.length; start += groupSize) {
    const group = matrix.data.subarray(start, start + groupSize);
    const fitted = grid.fit(group);
    result.data.set(group.map((value) => fitted.decode(fitted.encode(value))), start);
  }
  return result;
}

const { layer, inputs } = createLayerFixture({ inputs: 64, outputs: 96, tokens: 160, outliers: 4 });
const { weight } = layer;
const expected = product(inputs, weight);
const identity = (matrix: Matrix): Matrix => matrix;

function squaredError(output: Matrix): number {
  return output.data.reduce((sum, y, i) => sum + (y - expected.data[i]) ** 2, 0);
}

Deno.test("svdQuant() without quantization is an identity for any rank and smoothing", () => {
  const smooth = Float32Array.from({ length: 64 }, (_, j) => 0.5 + j / 32);
  for (const rank of [1, 16, 64]) {
    const result = svdQuant(weight, { inputs, quantizeWeight: identity, rank, smooth, iterations: 0 });
    assertLess(relativeError(expected, svdQuantForward(inputs, result)), 1e-5);
  }
});

Deno.test("svdQuant() of full rank makes the weight part exact", () => {
  const result = svdQuant(weight, {
    inputs,
    quantizeWeight: int4,
    rank: 64,
    smooth: "none",
    iterations: 0,
    storage: "float32",
  });
  assertLess(relativeError(expected, svdQuantForward(inputs, result)), 1e-5);
});

Deno.test("svdQuant() keeps the best alternation, which lowers the error", () => {
  const options = {
    inputs,
    quantizeWeight: int4,
    quantizeActivation: int4,
    rank: 8,
    smooth: "none" as const,
  };
  const result = svdQuant(weight, options);
  assert(result.errors.length > 1);
  const rising = result.errors.slice(0, -1).every((error, i, all) => i === 0 || error <= all[i - 1]);
  assert(rising, `${result.errors}`);
  const best = Math.min(...result.errors);
  assertLess(best, result.errors[0]);
  assertAlmostEquals(squaredError(svdQuantForward(inputs, result, int4)) / best, 1, 1e-4);
});

Deno.test("svdQuant() search never loses to no smoothing and has the authors' 39 candidates", () => {
  const options = { inputs, quantizeWeight: int4, quantizeActivation: int4, rank: 16, iterations: 0 };
  const result = svdQuant(weight, options);
  const pairs = result.candidates.map(({ alpha, beta }) =>
    `${Math.round(20 * alpha)} ${Math.round(20 * beta)}`
  );
  const steps = Array.from({ length: 19 }, (_, i) => i + 1);
  assertEquals(pairs[0], "0 0");
  assertEquals(
    pairs.toSorted(),
    ["0 0", ...steps.map((i) => `${i} 0`), ...steps.map((i) => `${i} ${20 - i}`)].toSorted(),
  );
  assertLessOrEqual(result.errors[0], svdQuant(weight, { ...options, smooth: "none" }).errors[0]);
});

Deno.test("svdQuant()'s search, whose branches start from one another, finds what exact branches would", () => {
  // Wide enough that branches are sketched; with and without outlier channels.
  for (const [columns, outputs, outliers] of [[160, 128, 4], [128, 160, 0], [160, 160, 8]]) {
    const fixture = createLayerFixture({ inputs: columns, outputs, outliers, tokens: 64, weights: "t4" });
    const options = {
      inputs: fixture.inputs,
      quantizeWeight: whole,
      quantizeActivation: whole,
      rank: 6,
      iterations: 0,
    };
    const searched = svdQuant(fixture.layer.weight, options);
    const maxima = ({ data, cols }: Matrix) => {
      const result = new Float32Array(cols);
      data.forEach((v, i) => result[i % cols] = Math.max(result[i % cols], Math.abs(v)));
      return result;
    };
    const [x, w] = [maxima(fixture.inputs), maxima(fixture.layer.weight)];
    const exact = searched.candidates.map(({ alpha, beta }) => {
      const smooth = Float32Array.from(x, (value, j) => value ** alpha / w[j] ** beta);
      return svdQuant(fixture.layer.weight, { ...options, smooth }).errors[0];
    });
    // Rounding makes neighbors on the path equal but for noise of some percent; which of them wins is of no account.
    assertLessOrEqual(searched.errors[0], 1.02 * Math.min(...exact));
    searched.candidates.forEach(({ error }, i) => assertAlmostEquals(error / exact[i], 1, 0.1));
  }
});

Deno.test("svdQuant() with branch and smoothing beats plain rounding severalfold, smoothing alone does not", () => {
  const plain = relativeError(expected, product(whole(inputs), whole(weight)));
  const options = {
    inputs,
    quantizeWeight: whole,
    quantizeActivation: whole,
    rank: 16,
    searchSteps: 10,
    iterations: 10,
  };
  const result = svdQuant(weight, options);
  assertLess(relativeError(expected, svdQuantForward(inputs, result, whole)), plain / 2.5);
  const smoothed = createMatrix(inputs.rows, 64, inputs.data.map((x, i) => x / result.smooth[i % 64]));
  const scaled = createMatrix(weight.rows, 64, weight.data.map((w, i) => w * result.smooth[i % 64]));
  const alone = relativeError(expected, product(whole(smoothed), whole(scaled)));
  assertLess(relativeError(expected, svdQuantForward(inputs, result, whole)), alone);
});

Deno.test("svdQuant() smooths by the maxima of the whole calibration if it has them", () => {
  const absmax = Float32Array.from({ length: 64 }, (_, j) => 1 + j);
  const options = { inputs, absmax, quantizeWeight: int4, quantizeActivation: int4, rank: 4, iterations: 0 };
  const { smooth, candidates } = svdQuant(weight, options);
  const ofWeight = new Float32Array(64);
  weight.data.forEach((w, i) => ofWeight[i % 64] = Math.max(ofWeight[i % 64], Math.abs(w)));
  const isOfCandidate = candidates.some(({ alpha, beta }) =>
    smooth.every((s, j) => Math.abs(s / (absmax[j] ** alpha / ofWeight[j] ** beta) - 1) < 1e-5)
  );
  assert(isOfCandidate);
});

Deno.test("svdQuant() rejects inputs of another width", () => {
  const wrong = createMatrix(2, 63);
  assertThrows(() => svdQuant(weight, { inputs: wrong, quantizeWeight: identity }), RangeError, "64 inputs");
});
