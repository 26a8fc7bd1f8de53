// Every search that contains the plain choice is never worse than it on its own objective, on layers with and without outlier
// channels and with normal and heavy-tailed weights.
import { nf2, nf4 } from "@quik/quant/formats";
import {
  absmaxQuantizer,
  awqSearchScale,
  binaryLevels,
  createMatrix,
  dequantizeBlocks,
  fakeQuantizeClipped,
  fitBinaryCoding,
  gptq,
  gptqtGrid,
  type Grid,
  hadamard,
  hqq,
  integerCoding,
  integerGrid,
  kMeansGrid,
  learnRange,
  learnRanges,
  learnRotation,
  levelGrid,
  loftq,
  lsqRounder,
  type Matrix,
  nearestRounder,
  perTokenActivations,
  quantizeBlocks,
  searchEquivalence,
  svdQuant,
} from "@quik/quant/quant";
import { assertLessOrEqual } from "@std/assert";
import { createLayerFixture, type LayerFixture, product } from "./_fixture.ts";

const fixtures: [name: string, fixture: LayerFixture][] = [
  ["normal", createLayerFixture({ seed: 11 })],
  ["outliers", createLayerFixture({ outliers: 3, seed: 12 })],
  ["heavy tails and outliers", createLayerFixture({ outliers: 4, weights: "t4", seed: 13 })],
];
const none = new Uint32Array(0);

/** What a search found and what it started from, both on the search's own objective. */
type Pair = [found: number, plain: number];

function squaredError(fixture: LayerFixture, rounded: Matrix): number {
  const change = fixture.layer.weight.data.map((w, i) => w - rounded.data[i]);
  return product(fixture.inputs, createMatrix(rounded.rows, rounded.cols, change)).data
    .reduce((sum, y) => sum + y * y, 0);
}

/** Sum over rows of a grid's weighted squared error. */
function gridError(fixture: LayerFixture, grid: Grid): number {
  const { weight } = fixture.layer, { hessian } = fixture.calibration;
  const importance = Float64Array.from({ length: weight.cols }, (_, c) => hessian.data[c * weight.cols + c]);
  let sum = 0;
  for (let r = 0; r < weight.rows; r++) {
    const row = weight.data.slice(r * weight.cols, (r + 1) * weight.cols);
    const fitted = grid.fit(row, importance);
    row.forEach((w, c) => sum += importance[c] * (w - fitted.decode(fitted.encode(w))) ** 2);
  }
  return sum;
}

const searches: Record<string, (fixture: LayerFixture, bits: number) => Pair[]> = {
  "clip search of an integer grid": ({ layer: { weight } }, bits) =>
    (["sym-restricted", "sym-full", "asym", "asym-raw"] as const).map((mapping): Pair => {
      const [clipped, plain] = [true, false].map((clip) => {
        const fitted = integerGrid({ bits, mapping, clip }).fit(weight.data);
        return weight.data.reduce((sum, w) => sum + Math.abs(fitted.decode(fitted.encode(w)) - w) ** 2.4, 0);
      });
      return [clipped, plain];
    }),
  "AWQ's scale": ({ layer: { weight }, calibration }, bits) => {
    const rounder = nearestRounder({ grid: integerGrid({ bits, mapping: "asym-raw" }), groupSize: 32 });
    const { losses } = awqSearchScale(weight, calibration, { rounder });
    return [[Math.min(...losses), losses[0]]];
  },
  "OmniQuant's ranges": ({ layer: { weight }, calibration: { hessian } }, bits) => {
    const { losses } = learnRanges(weight, { hessian, bits, groupSize: 32 });
    return [[losses.at(-1)!, losses[0]]];
  },
  "OmniQuant's equivalent transform": ({ layer: { weight }, calibration }, bits) => {
    const rounder = nearestRounder({ grid: integerGrid({ bits }) });
    const { candidates } = searchEquivalence(weight, calibration, {
      rounder,
      activations: perTokenActivations({ bits: 4 }),
    });
    return [[Math.min(...candidates.map(({ loss }) => loss)), candidates[0].loss]];
  },
  "SVDQuant's smoothing and alternation": ({ layer: { weight }, inputs }, bits) => {
    const { calibration } = fixtures[0][1];
    const rounder = nearestRounder({ grid: integerGrid({ bits }), groupSize: 32 });
    const options = {
      inputs,
      quantizeWeight: (w: Matrix) => rounder.round(w, { calibration, outliers: none }).weight,
      rank: 4,
      iterations: 0,
    };
    const searched = svdQuant(weight, { ...options, iterations: 4 });
    return [
      [searched.errors[0], svdQuant(weight, { ...options, smooth: "none" }).errors[0]],
      [Math.min(...searched.errors), searched.errors[0]],
    ];
  },
  "LoftQ": ({ layer: { weight } }, bits) => {
    const quantize = (w: Matrix) => dequantizeBlocks(quantizeBlocks(w, { format: bits === 2 ? nf2 : nf4 }));
    const { steps } = loftq(weight, { quantize, rank: 4, storage: "float32" });
    return [
      ...steps.map(({ withAdapter, quantized }): Pair => [withAdapter, quantized]),
      [Math.min(...steps.map(({ withAdapter }) => withAdapter)), steps[0].quantized],
    ];
  },
  "binary codes": (fixture, bits) => {
    const row = fixture.layer.weight.data.slice(0, 64);
    const error = (levels: ArrayLike<number>) => {
      const grid = levelGrid(levels);
      return row.reduce((sum, w) => sum + (w - levels[grid.encode(w)]) ** 2, 0);
    };
    return [[error(binaryLevels(fitBinaryCoding(row, bits))), error(binaryLevels(integerCoding(row, bits)))]];
  },
  "GPTQT's codes": (fixture, bits) => [
    [gridError(fixture, gptqtGrid({ bits })), gridError(fixture, integerGrid({ bits, mapping: "asym" }))],
  ],
  "SqueezeLLM's levels": (fixture, bits) => [
    [gridError(fixture, kMeansGrid({ bits })), gridError(fixture, integerGrid({ bits, mapping: "asym" }))],
  ],
  "HQQ's zero points": ({ layer: { weight } }, bits) =>
    (["inputs", "outputs"] as const).map((groupAxis): Pair => {
      const { errors } = hqq(weight, { bits, groupSize: 16, groupAxis });
      return [Math.min(...errors), errors[0]];
    }),
  "SpinQuant's rotation": ({ layer: { weight }, inputs }, bits) => {
    const quantizer = absmaxQuantizer({ bits });
    const { losses } = learnRotation([{ weight, inputs }], {
      ...{ quantizeActivation: quantizer, quantizeWeight: quantizer, steps: 5 },
      start: hadamard(64, { seed: 1 }),
    });
    return [[Math.min(...losses), losses[0]]];
  },
  "GPTQ's safeguard": ({ layer: { weight }, calibration: { hessian } }, bits) => {
    const grid = integerGrid({ bits });
    const [safe, plain] = [true, false].map((safeguard) => gptq(weight, { hessian, grid, safeguard }));
    return Array.from(safe.loss, (loss, row): Pair => [loss, plain.loss[row]]);
  },
  "LSQ": (fixture, bits) => {
    const { layer: { weight }, calibration } = fixture;
    const [trained, untrained] = [undefined, 0].map((steps) =>
      squaredError(
        fixture,
        lsqRounder({ bits, ...(steps === 0 ? { steps } : {}) }).round(weight, { calibration, outliers: none })
          .weight,
      )
    );
    return [[trained, untrained]];
  },
  "learned activation range": ({ inputs: { data } }, bits) => {
    const error = (low: number, high: number) =>
      fakeQuantizeClipped(data, { low, high, bits }).reduce((sum, q, i) => sum + (q - data[i]) ** 2, 0);
    const { low, high } = learnRange(data, { bits });
    const [least, largest] = data.reduce(([a, b], x) => [Math.min(a, x), Math.max(b, x)], [0, 0]);
    return [[error(low, high), error(least, largest)]];
  },
};

for (const [name, search] of Object.entries(searches)) {
  Deno.test(`${name}: never worse than the plain choice on its own objective`, () => {
    for (const [fixtureName, fixture] of fixtures) {
      for (const bits of [2, 3, 4]) {
        for (const [found, plain] of search(fixture, bits)) {
          // The last bits of float32 sums.
          assertLessOrEqual(found, plain * (1 + 1e-6), `${fixtureName}, ${bits} bits`);
        }
      }
    }
  });
}
