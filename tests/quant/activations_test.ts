import {
  type ActivationScheme,
  calibrate,
  createMatrix,
  type Matrix,
  perTensorActivations,
  perTokenActivations,
  staticActivations,
} from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { normalMatrix } from "./_fixture.ts";

const NONE = new Uint32Array(0);

function apply(scheme: ActivationScheme, input: Matrix, outliers = NONE): number[] {
  return [...scheme.prepare(calibrate(input))(input, outliers).data];
}

Deno.test("perTokenActivations() has the kernel's codes, ties to even", () => {
  const input = createMatrix(1, 8, Float32Array.of(-1, -0.875, -0.625, 0, 0.3, 1.125, 2, 2.75));
  const codes = [0, 0, 2, 4, 5, 8, 12, 15];
  assertEquals(
    apply(perTokenActivations({ bits: 4, mapping: "asymmetric" }), input),
    codes.map((q) => q / 4 - 1),
  );
});

Deno.test("perTokenActivations() tells the kernel's form from the simulation's", () => {
  const input = createMatrix(1, 4, Float32Array.of(1, 1.2, 1.9, 2.5));
  const kernel = apply(perTokenActivations({ bits: 4, mapping: "asymmetric" }), input);
  [1, 1.2, 1.9, 2.5].forEach((value, i) => assertAlmostEquals(kernel[i], value, 1e-6));
  const simulation = apply(perTokenActivations({ bits: 4, mapping: "asymmetric_integer" }), input);
  [1, 7 / 6, 11 / 6, 2.5].forEach((value, i) => assertAlmostEquals(simulation[i], value, 1e-6));
});

Deno.test("perTokenActivations() leaves outliers out of range and rounding", () => {
  const input = createMatrix(2, 4, Float32Array.of(7, 1.4, 500.123, -7, 0.7, 0.14, -9.5, -0.7));
  const actual = apply(perTokenActivations({ bits: 4 }), input, Uint32Array.of(2));
  const expected = [7, 1, Math.fround(500.123), -7, 0.7, 0.1, -9.5, -0.7];
  expected.forEach((value, i) => assertAlmostEquals(actual[i], value, 1e-6));
});

Deno.test("perTokenActivations() scales groups of columns apart", () => {
  const input = createMatrix(1, 4, Float32Array.of(7, 1, 0.7, 0.1));
  const actual = apply(perTokenActivations({ bits: 4, groupSize: 2 }), input);
  [7, 1, 0.7, 0.1].forEach((value, i) => assertAlmostEquals(actual[i], value, 1e-6));
});

Deno.test("activation schemes stay within half a step and keep zeros and constants finite", () => {
  const input = normalMatrix(5, 40);
  for (const bits of [4, 8]) {
    for (const mapping of ["symmetric", "asymmetric", "asymmetric_integer"] as const) {
      for (
        const scheme of [perTokenActivations({ bits, mapping }), perTensorActivations({ bits, mapping })]
      ) {
        const actual = apply(scheme, input);
        const width = Math.max(...input.data.map(Math.abs)) * 2;
        actual.forEach((value, i) =>
          assert(Math.abs(value - input.data[i]) <= 0.8 * width / (2 ** bits - 2))
        );
        assert(apply(scheme, createMatrix(1, 3)).every((value) => Math.abs(value) < 1e-30));
        const constant = apply(scheme, createMatrix(1, 2, Float32Array.of(3, 3)));
        constant.forEach((value) => assertAlmostEquals(value, 3, 1e-5));
      }
    }
  }
});

Deno.test("staticActivations() scales by calibration and saturates beyond it", () => {
  const quantize = staticActivations({ bits: 8 }).prepare(
    calibrate(createMatrix(1, 2, Float32Array.of(12.7, 1))),
  );
  const actual = quantize(createMatrix(1, 2, Float32Array.of(50, 0.26)), NONE).data;
  assertAlmostEquals(actual[0], 12.7, 1e-5);
  assertAlmostEquals(actual[1], 0.3, 1e-5);
});

Deno.test("perTokenActivations() clips the range that it is told to", () => {
  const input = createMatrix(1, 2, Float32Array.of(10, 1));
  const actual = apply(perTokenActivations({ bits: 4, clipRatio: 0.7 }), input);
  [7, 1].forEach((value, i) => assertAlmostEquals(actual[i], value, 1e-5));
  assertThrows(() => perTokenActivations({ bits: 1 }), RangeError, "1 bits");
});
