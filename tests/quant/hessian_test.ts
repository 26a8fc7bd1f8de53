import { calibrate, CalibrationAccumulator, createMatrix, hessianOf } from "@quik/quant/quant";
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { calibrate as definition, normalMatrix } from "./_fixture.ts";

Deno.test("CalibrationAccumulator gathers in batches what the definitions give at once", () => {
  const inputs = normalMatrix(57, 9), expected = definition(inputs);
  const accumulator = new CalibrationAccumulator(9);
  for (const [start, end] of [[0, 1], [1, 14], [14, 14], [14, 57]]) {
    accumulator.add(createMatrix(end - start, 9, inputs.data.slice(start * 9, end * 9)));
  }
  const { absmax, meanAbs, hessian, inputs: samples, tokens } = accumulator.finish();
  assertEquals(absmax, expected.absmax);
  assertEquals(tokens, 57);
  assertEquals(samples, inputs);
  meanAbs.forEach((value, i) => assertAlmostEquals(value, expected.meanAbs[i], 1e-6));
  hessian.data.forEach((value, i) => assertAlmostEquals(value, expected.hessian.data[i], 1e-6));
});

Deno.test("CalibrationAccumulator samples rows evenly, whatever the batches", () => {
  const rows = createMatrix(1000, 1, Float32Array.from({ length: 1000 }, (_, i) => i));
  const whole = calibrate(rows, { samples: 10 }).inputs.data;
  assertEquals(whole.length, 10);
  for (let i = 1; i < 10; i++) assertAlmostEquals(whole[i] - whole[i - 1], 100, 40);
  const accumulator = new CalibrationAccumulator(1, { samples: 10 });
  for (let i = 0; i < 1000; i += 8) accumulator.add(createMatrix(8, 1, rows.data.slice(i, i + 8)));
  assertEquals(accumulator.finish().inputs.data, whole);
});

Deno.test("CalibrationAccumulator takes a gram computed elsewhere, or none", () => {
  const inputs = createMatrix(2, 2, Float32Array.of(1, 2, 3, 4));
  const accumulator = new CalibrationAccumulator(2);
  accumulator.add(inputs, { gram: createMatrix(2, 2, Float32Array.of(10, 14, 14, 20)) });
  assertEquals(accumulator.finish().hessian, hessianOf(inputs));
  assertEquals(calibrate(inputs, { hessian: false }).hessian.rows, 0);
  assertThrows(() => accumulator.add(inputs, { gram: createMatrix(1, 1) }), RangeError, "gram");
});

Deno.test("CalibrationAccumulator rejects bad input", () => {
  const accumulator = new CalibrationAccumulator(2);
  assertThrows(() => accumulator.finish(), RangeError, "no tokens");
  assertThrows(() => accumulator.add(createMatrix(1, 3)), RangeError, "3 features");
  assertThrows(() => accumulator.add(createMatrix(1, 2, Float32Array.of(0, NaN))), RangeError, "feature 1");
  assertThrows(() => new CalibrationAccumulator(0), RangeError);
});
