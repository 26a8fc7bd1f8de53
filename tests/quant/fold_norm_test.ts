import { assertAlmostEquals, assertLess, assertThrows } from "@std/assert";
import { centerOutputs, createMatrix, foldGain, foldOffset, type Matrix } from "@quik/quant/quant";
import { normalMatrix, product, relativeError } from "./_fixture.ts";

function layerNorm(x: Matrix, gain: Float32Array, offset: Float32Array): Matrix {
  const result = createMatrix(x.rows, x.cols);
  for (let t = 0; t < x.rows; t++) {
    const row = x.data.subarray(t * x.cols, (t + 1) * x.cols);
    const mean = row.reduce((sum, v) => sum + v, 0) / x.cols;
    const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.cols;
    row.forEach((v, j) =>
      result.data[t * x.cols + j] = (v - mean) / Math.sqrt(variance) * gain[j] + offset[j]
    );
  }
  return result;
}

function rmsNorm(x: Matrix): Matrix {
  const result = createMatrix(x.rows, x.cols);
  for (let t = 0; t < x.rows; t++) {
    const row = x.data.subarray(t * x.cols, (t + 1) * x.cols);
    const rms = Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / x.cols);
    row.forEach((v, j) => result.data[t * x.cols + j] = v / rms);
  }
  return result;
}

Deno.test("a LayerNorm folds into its neighbors and becomes an RMSNorm without gain", () => {
  const [width, outputs] = [24, 10];
  const source = normalMatrix(7, 12, 1);
  const writer = normalMatrix(width, 12, 2);
  const [gain, offset] = [normalMatrix(1, width, 3).data, normalMatrix(1, width, 4).data];
  const reader = normalMatrix(outputs, width, 5);
  const expected = product(layerNorm(product(source, writer), gain, offset), reader);
  const folded = product(rmsNorm(product(source, centerOutputs(writer))), foldGain(reader, gain));
  const bias = foldOffset(reader, offset);
  const actual = createMatrix(7, outputs, folded.data.map((y, i) => y + bias[i % outputs]));
  assertLess(relativeError(expected, actual), 1e-5);
  assertAlmostEquals(foldOffset(reader, offset, new Float32Array(outputs).fill(2))[3], bias[3] + 2, 1e-5);
});

Deno.test("foldGain() and foldOffset() reject other lengths", () => {
  assertThrows(() => foldGain(normalMatrix(2, 3), new Float32Array(2)), RangeError, "3 input columns");
  assertThrows(() => foldOffset(normalMatrix(2, 3), new Float32Array(2)), RangeError, "3 input columns");
});
