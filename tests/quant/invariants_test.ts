// What holds of every method and every transform, asserted over all of them: degenerate layers stay finite, ragged shapes work,
// what is not a number is refused, arguments are left alone, and a second run gives the same.
import {
  awqScale,
  createMatrix,
  hadamardFinder,
  integerGrid,
  type LayerCalibration,
  learnedEquivalence,
  learnedRotationFinder,
  type LinearLayer,
  logarithmicEqualization,
  type Matrix,
  methods,
  nearestRounder,
  outlierPermutationFinder,
  percentileSmooth,
  perTokenActivations,
  smoothQuant,
  transformCalibration,
  type TransformFinder,
} from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import { calibrate, createLayerFixture, normalMatrix, product, relativeError } from "./_fixture.ts";

const rounder = nearestRounder({ grid: integerGrid({ bits: 4 }) });
const activations = perTokenActivations({ bits: 4 });

const finders: TransformFinder[] = [
  smoothQuant(),
  smoothQuant({ alpha: 0.85 }),
  logarithmicEqualization(),
  percentileSmooth(),
  awqScale({ rounder }),
  outlierPermutationFinder({ blockSize: 16 }),
  learnedEquivalence({ rounder, activations }),
  hadamardFinder(),
  learnedRotationFinder({ steps: 3 }),
];

/** Methods for which 0 is not a code of the inputs: it lies within a learned range, or is shifted. */
const SHIFTED = ["learned-clip-w4a8", "omniquant-w4a4"];

/** A layer with inputs that calibrate it. */
interface Case {
  readonly name: string;
  readonly layer: LinearLayer;
  readonly inputs: Matrix;
  readonly calibration: LayerCalibration;
}

function caseOf(name: string, weight: Matrix, inputs: Matrix): Case {
  const bias = Float32Array.from({ length: weight.rows }, (_, r) => r / 8 - 1);
  return {
    name,
    layer: { name: "model.layers.0.mlp.up_proj", weight, bias },
    inputs,
    calibration: calibrate(inputs),
  };
}

function mapped(
  { data, rows, cols }: Matrix,
  f: (value: number, row: number, col: number) => number,
): Matrix {
  return createMatrix(rows, cols, data.map((value, i) => f(value, Math.floor(i / cols), i % cols)));
}

const regular = createLayerFixture({ inputs: 128, outputs: 32, outliers: 3, tokens: 256 });
const { layer: { weight }, inputs } = regular;

/** Layers on which no method may produce what is not finite. */
const degenerate: Case[] = [
  caseOf("zero inputs", weight, createMatrix(64, 128)),
  caseOf("zero weights", createMatrix(32, 128), inputs),
  caseOf("constant rows", mapped(weight, (_, row) => row % 3 === 0 ? 0 : 0.01 * row - 0.1), inputs),
  caseOf("constant inputs", weight, mapped(inputs, () => 2)),
  caseOf("columns that are never active", weight, mapped(inputs, (x, _, col) => col % 4 === 1 ? 0 : x)),
  caseOf("one large weight per row", mapped(weight, (w, row, col) => col === row ? 1e3 : w), inputs),
  caseOf("one token", weight, createMatrix(1, 128, inputs.data.slice(0, 128))),
  caseOf("tiny weights", mapped(weight, (w) => 1e-30 * w), inputs),
];

/** Shapes that no group, block or tile divides. */
const ragged: Case[] = [[7, 50], [1, 128], [33, 100], [5, 3], [1, 1], [130, 36]].map(([rows, cols]) => {
  const fixture = createLayerFixture({ inputs: cols, outputs: rows, tokens: 4 * cols + 8, seed: 3 });
  return caseOf(`[${rows}, ${cols}]`, fixture.layer.weight, fixture.inputs);
});

const isFinite = (matrix: Matrix): boolean => matrix.data.every(Number.isFinite);

function outputOf({ layer, inputs }: Case): Matrix {
  return mapped(product(inputs, layer.weight), (y, _, col) => y + layer.bias![col]);
}

for (const finder of finders) {
  Deno.test(`${finder.name} is an identity before rounding, on every layer`, () => {
    for (const each of [caseOf("regular", weight, inputs), ...degenerate, ...ragged]) {
      const { layer, inputs, calibration, name } = each;
      const before = structuredClone({ layer, calibration });
      const transform = finder.find(layer, calibration);
      assertEquals({ layer, calibration }, before, `${finder.name} changed its arguments on ${name}`);
      const transformed = product(transform.applyX(inputs), transform.applyW(layer.weight));
      const offset = transform.offset?.(layer.weight) ?? new Float32Array(layer.weight.rows);
      const output = mapped(transformed, (y, _, col) => y + offset[col]);
      assert(isFinite(output), name);
      const expected = product(inputs, layer.weight);
      if (expected.data.some((y) => y !== 0)) assertLess(relativeError(expected, output), 1e-5, name);
      else assert(output.data.every((y) => Math.abs(y) < 1e-6), name);
      assert(isFinite(transformCalibration(calibration, transform).hessian), name);
    }
  });
}

for (const [name, method] of Object.entries(methods)) {
  Deno.test(`${name} stays finite on degenerate layers`, async () => {
    for (const each of degenerate) {
      const quantized = await method.quantize(each.layer, each.calibration);
      assert(quantized.bitsPerWeight > 0 && Number.isFinite(quantized.bitsPerWeight), each.name);
      for (const input of [each.inputs, createMatrix(3, 128), normalMatrix(3, 128)]) {
        assert(isFinite(quantized.forward(input)), `${each.name}: the output is not finite`);
      }
      if (SHIFTED.includes(name)) continue;
      // Nothing in, nothing out but the bias.
      const silent = quantized.forward(createMatrix(1, 128));
      silent.data.forEach((y, r) => assertAlmostEquals(y, each.layer.bias![r], 1e-3, each.name));
    }
  });

  Deno.test(`${name} takes ragged shapes`, async () => {
    for (const each of ragged) {
      const quantized = await method.quantize(each.layer, each.calibration);
      const output = quantized.forward(each.inputs);
      assertEquals([output.rows, output.cols], [each.inputs.rows, each.layer.weight.rows]);
      // A loose bound: what is not a mistake of shapes. Two bits err by up to 60%.
      assertLess(relativeError(outputOf(each), output), 0.75, each.name);
    }
  });

  Deno.test(`${name} leaves its arguments alone and repeats itself`, async () => {
    const { layer, calibration } = caseOf("regular", weight, inputs);
    const before = structuredClone({ layer, calibration });
    const first = await method.quantize(layer, calibration);
    assertEquals({ layer, calibration }, before);
    const second = await method.quantize(layer, calibration);
    assertEquals(first.forward(inputs), second.forward(inputs));
    assertEquals(first.bitsPerWeight, second.bitsPerWeight);
  });

  Deno.test(`${name} refuses weights that are not numbers`, async () => {
    const broken = mapped(weight, (w, row, col) => row === 3 && col === 5 ? NaN : w);
    const { layer, calibration } = caseOf("NaN", broken, inputs);
    let message = "";
    try {
      await method.quantize(layer, calibration);
    } catch (error) {
      message = (error as Error).message;
    }
    assert(/^Cannot /.test(message), `${name} took a NaN: ${message}`);
  });
}
