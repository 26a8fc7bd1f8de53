import {
  calibrate,
  composeTransforms,
  createMatrix,
  createRandom,
  hadamard,
  hessianOf,
  permuteTransform,
  rotationTransform,
  scaleTransform,
  shiftTransform,
  type Transform,
  transformCalibration,
} from "@quik/quant/quant";
import { assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { createLayerFixture, product, relativeError } from "./_fixture.ts";

const { layer: { weight }, inputs } = createLayerFixture({ outliers: 3 });
const random = createRandom(5);
const positive = Float32Array.from({ length: 64 }, () => 0.1 + 4 * random.uniform());
const order = Uint32Array.from({ length: 64 }, (_, i) => (i * 37 + 5) % 64);

const scale = scaleTransform(positive);
const shift = shiftTransform(positive);
const permute = permuteTransform(order);
const rotate = rotationTransform(hadamard(64, { seed: 1 }));
const all: [name: string, transform: Transform][] = [
  ["scale", scale],
  ["shift", shift],
  ["permute", permute],
  ["rotate", rotate],
  ["nothing", composeTransforms([])],
  ["scale+permute", composeTransforms([scale, permute])],
  ["shift+scale+shift+rotate", composeTransforms([shift, scale, shift, rotate])],
];

for (const [name, transform] of all) {
  Deno.test(`${name} is a floating-point identity`, () => {
    const output = product(transform.applyX(inputs), transform.applyW(weight));
    const offset = transform.offset?.(weight) ?? new Float32Array(weight.rows);
    output.data.forEach((_, i) => output.data[i] += offset[i % weight.rows]);
    assertLess(relativeError(product(inputs, weight), output), 1e-5);
  });

  Deno.test(`transformCalibration() behind ${name} is the calibration of the transformed inputs`, () => {
    const calibration = calibrate(inputs, { samples: inputs.rows });
    const expected = calibrate(transform.applyX(inputs), { samples: inputs.rows });
    const actual = transformCalibration(calibration, transform);
    assertEquals(actual.inputs, expected.inputs);
    assertEquals(actual.tokens, expected.tokens);
    assertLess(relativeError(expected.hessian, actual.hessian), 1e-5);
    for (const statistic of ["absmax", "meanAbs"] as const) {
      actual[statistic].forEach((value, c) => assertAlmostEquals(value, expected[statistic][c], 1e-4));
    }
  });
}

Deno.test("transformCalibration() needs no inputs for scalings and permutations", () => {
  const calibration = calibrate(inputs, { samples: 0 });
  const expected = hessianOf(scale.applyX(inputs));
  assertLess(relativeError(expected, transformCalibration(calibration, scale).hessian), 1e-5);
  assertThrows(() => transformCalibration(calibration, rotate), RangeError, "without sampled inputs");
});

Deno.test("transforms reject what they cannot apply", () => {
  assertThrows(() => scaleTransform(Float32Array.of(1, 0)), RangeError, "column 1 by 0");
  assertThrows(() => permuteTransform(Uint32Array.of(0, 0)), RangeError, "once");
  assertThrows(() => scale.applyX(createMatrix(1, 3)), RangeError, "3 columns");
});
