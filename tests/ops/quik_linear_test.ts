// QuikLinear: against the float layer, on batches of any shape, sharing inputs, and refusing what does not fit.
import { createReferenceBackend } from "../../kernels/mod.ts";
import { applyLinears, DeviceTensor, quikBitsPerWeight, QuikLinear } from "../../ops/mod.ts";
import { createMatrix, createRandom, type Matrix, selectOutlierColumns } from "../../quant/mod.ts";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";

const random = createRandom(5);
const normals = (rows: number, cols: number): Matrix =>
  createMatrix(rows, cols, Float32Array.from({ length: rows * cols }, () => random.normal()));

/** Inputs with a few columns thirty times as large as the others. */
function spiky(rows: number, cols: number, columns: readonly number[]): Matrix {
  const matrix = normals(rows, cols);
  for (let row = 0; row < rows; row++) for (const c of columns) matrix.data[row * cols + c] *= 30;
  return matrix;
}

function columnAbsmax({ data, rows, cols }: Matrix): Float32Array<ArrayBuffer> {
  const absmax = new Float32Array(cols);
  for (let i = 0; i < rows * cols; i++) absmax[i % cols] = Math.max(absmax[i % cols], Math.abs(data[i]));
  return absmax;
}

function product(x: Matrix, weight: Matrix): Float64Array<ArrayBuffer> {
  const y = new Float64Array(x.rows * weight.rows);
  for (let m = 0; m < x.rows; m++) {
    for (let n = 0; n < weight.rows; n++) {
      for (let k = 0; k < x.cols; k++) {
        y[m * weight.rows + n] += x.data[m * x.cols + k] * weight.data[n * x.cols + k];
      }
    }
  }
  return y;
}

function relativeError(actual: Float32Array<ArrayBuffer>, expected: Float64Array<ArrayBuffer>): number {
  let error = 0;
  let size = 0;
  for (let i = 0; i < expected.length; i++) {
    error += (actual[i] - expected[i]) ** 2;
    size += expected[i] ** 2;
  }
  return Math.sqrt(error / size);
}

Deno.test("QuikLinear keeps outlier columns and cuts the error at least fivefold", async () => {
  const outlierColumns = [3, 17, 40, 63];
  const x = spiky(32, 64, outlierColumns);
  const weight = normals(24, 64);
  const absmax = columnAbsmax(x);
  const outliers = selectOutlierColumns(absmax, { count: 4 });
  assertEquals([...outliers], outlierColumns);
  const expected = product(x, weight);
  using without = QuikLinear.fromFloat({ weight }, { absmax, rounding: "nearest" });
  using with4 = QuikLinear.fromFloat({ weight }, { absmax, outliers, rounding: "nearest" });
  const plain = relativeError((await without.forward(x)).data, expected);
  const quik = relativeError((await with4.forward(x)).data, expected);
  assertLess(quik * 5, plain);
  assertLess(quik, 0.08);
});

Deno.test("QuikLinear in 8 bits is close to the float layer, bias included", async () => {
  const x = normals(7, 32);
  const weight = normals(9, 32);
  const bias = normals(1, 9).data;
  using layer = QuikLinear.fromFloat({ weight, bias }, {
    absmax: columnAbsmax(x),
    bits: 8,
    rounding: "nearest",
  });
  const expected = product(x, weight).map((value, i) => value + bias[i % 9]);
  assertLess(relativeError((await layer.forward(x)).data, expected), 0.02);
});

Deno.test("QuikLinear takes batches of any shape and an empty one", async () => {
  const x = normals(6, 8);
  using layer = QuikLinear.fromFloat({ weight: normals(5, 8) }, {
    absmax: columnAbsmax(x),
    rounding: "nearest",
  });
  using backend = createReferenceBackend();
  const flat = await layer.forward(x, backend);
  const batch = await layer.forward({ data: x.data, shape: [2, 3, 8] }, backend);
  assertEquals(batch.shape, [2, 3, 5]);
  assertEquals(batch.data, flat.data);
  const single = await layer.forward({ data: x.data.slice(0, 8), shape: [8] }, backend);
  assertEquals(single.shape, [5]);
  assertEquals(single.data, flat.data.slice(0, 5));
  const empty = await layer.forward(createMatrix(0, 8), backend);
  assertEquals([empty.rows, empty.cols], [0, 5]);
});

Deno.test("QuikLinear with every column an outlier multiplies in 16 bits", async () => {
  const x = normals(3, 6);
  const weight = normals(4, 6);
  const outliers = Uint32Array.from({ length: 6 }, (_, i) => i);
  using layer = QuikLinear.fromFloat({ weight }, { absmax: columnAbsmax(x), outliers, rounding: "nearest" });
  assertLess(relativeError((await layer.forward(x)).data, product(x, weight)), 1e-3);
});

Deno.test("applyLinears() gives layers with equal outliers the same result as each alone", async () => {
  using backend = createReferenceBackend();
  const x = normals(4, 16);
  const absmax = columnAbsmax(x);
  const outliers = selectOutlierColumns(absmax, { count: 2 });
  const layers = [normals(5, 16), normals(7, 16)].map((weight) =>
    QuikLinear.fromFloat({ weight }, { absmax, outliers, rounding: "nearest" }).upload(backend)
  );
  assertEquals(layers[0].inputKey, layers[1].inputKey);
  using input = DeviceTensor.fromMatrix(backend, x);
  const together = await applyLinears(layers, input);
  for (const [i, linear] of layers.entries()) {
    const [alone] = await applyLinears([linear], input);
    assertEquals((await together[i].toMatrix()).data, (await alone.toMatrix()).data);
  }
});

Deno.test("quikBitsPerWeight() counts codes, scales, row sums and outliers", () => {
  const absmax = Float32Array.from({ length: 8 }, (_, i) => i);
  const layer = QuikLinear.fromFloat({ weight: normals(4, 8) }, {
    absmax,
    outliers: Uint32Array.of(6, 7),
    rounding: "nearest",
  });
  const bits = 4 * 6 * 4 + (4 + 4) * 32 + 2 * 32 + 4 * 2 * 16;
  assertAlmostEquals(quikBitsPerWeight(layer.weights), bits / 32);
});

Deno.test("QuikLinear refuses shapes and values that do not fit", async () => {
  const absmax = new Float32Array(8).fill(1);
  using layer = QuikLinear.fromFloat({ weight: normals(4, 8) }, { absmax, rounding: "nearest" });
  await assertRejects(() => layer.forward(normals(2, 7)), RangeError, "8 inputs");
  assertThrows(
    () =>
      QuikLinear.fromFloat({ weight: normals(4, 8), bias: new Float32Array(3) }, {
        absmax,
        rounding: "nearest",
      }),
    RangeError,
    "bias of 3 values",
  );
  assertThrows(
    () =>
      QuikLinear.fromFloat({ weight: normals(4, 7) }, { absmax: new Float32Array(7), rounding: "nearest" }),
    RangeError,
    "even",
  );
  const nan = normals(4, 8);
  nan.data[3] = NaN;
  assertThrows(
    () => QuikLinear.fromFloat({ weight: nan }, { absmax, rounding: "nearest" }),
    RangeError,
    "NaN",
  );
  assert(layer.inputs === 8 && layer.outputs === 4);
});
