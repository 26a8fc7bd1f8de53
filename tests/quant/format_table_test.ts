// The error of every format on standard normal values, against published measurements: relative error of the formats of
// the field with their usual scales. A mistake in a table, a bias or a scale rule shows here at once.
import { assertAlmostEquals } from "@std/assert";
import {
  type BlockFormat,
  defineCodebook,
  defineMx,
  float4E2M1,
  float8E4M3,
  float8E5M2,
  int3,
  int4,
  int8,
  mxfp4,
  mxfp8E4M3,
  nf4,
  type NumberFormat,
  nvfp4,
  uint2,
  uint3,
  uint4,
  uint8,
} from "@quik/quant/formats";
import {
  chooseQparams,
  createMatrix,
  createRandom,
  errorMetrics,
  fakeQuantize,
  gridOf,
  type Mapping,
  type MappingName,
  type Matrix,
  perBlock,
  perGroup,
  perTensor,
  qparamsFromRanges,
} from "@quik/quant/quant";

const COUNT = 1 << 18;

const random = createRandom(20231);
const normal: Matrix = createMatrix(
  COUNT / 4096,
  4096,
  Float32Array.from({ length: COUNT }, () => random.normal()),
);

const integers: [NumberFormat, MappingName, Record<number, number>][] = [
  [int8, "sym-restricted", { 64: 0.0059, 1024: 0.0079 }],
  [uint8, "asym", { 64: 0.0054, 1024: 0.0074 }],
  [int4, "sym-restricted", { 32: 0.0971, 64: 0.1078, 128: 0.1175, 1024: 0.143 }],
  [uint4, "asym", { 32: 0.0808, 64: 0.0912, 128: 0.1007, 1024: 0.1257 }],
  [int3, "sym-restricted", { 32: 0.2266, 64: 0.2515, 128: 0.2742 }],
  [uint3, "asym", { 32: 0.173, 64: 0.1952, 128: 0.2158 }],
  [uint2, "asym", { 32: 0.4063, 64: 0.4571, 128: 0.5036 }],
];

function assertError(rounded: Float32Array<ArrayBuffer>, expected: number, name: string): void {
  const { relativeError } = errorMetrics(normal.data, rounded);
  // 1% of the value, and half a digit of the printed one.
  assertAlmostEquals(
    relativeError,
    expected,
    0.01 * expected + 0.00005,
    `${name}: ${relativeError}, not ${expected}`,
  );
}

Deno.test("integer grids have the published errors on normal values", () => {
  for (const [format, mapping, groups] of integers) {
    for (const [group, expected] of Object.entries(groups)) {
      // The restricted symmetric grid of the table leaves the lowest code out.
      const options = {
        format,
        mapping,
        granularity: perGroup(Number(group)),
        narrowRange: mapping === "sym-restricted",
      };
      const rounded = fakeQuantize(normal, chooseQparams(normal, options));
      assertError(rounded.data, expected, `${format.name} ${mapping} g${group}`);
    }
  }
});

Deno.test("float and codebook formats have the published errors on normal values", () => {
  const error = (format: NumberFormat, granularity: ReturnType<typeof perGroup>, expected: number) =>
    assertError(
      fakeQuantize(normal, chooseQparams(normal, { format, granularity })).data,
      expected,
      format.name,
    );
  error(nf4, perGroup(64), 0.092);
  error(float8E4M3, perTensor(), 0.0264);
  error(float8E4M3, perBlock(1, 128), 0.0257);
  error(float8E5M2, perTensor(), 0.0527);
});

Deno.test("block formats have the published errors on normal values", () => {
  const error = (format: BlockFormat, expected: number) =>
    assertError(format.dequantize(format.quantize(normal.data), COUNT), expected, format.name);
  error(mxfp4, 0.1152);
  error(defineMx("mxfp4 even", { element: float4E2M1, scaleRule: "even" }), 0.112);
  error(defineMx("mxfp4 rceil", { element: float4E2M1, scaleRule: "rceil" }), 0.1156);
  error(mxfp8E4M3, 0.0294);
  error(nvfp4, 0.0952);
});

Deno.test("the best sixteen levels for normal values have the published error", () => {
  // Lloyd's iteration on the values themselves: each level becomes the mean of the values nearest to it.
  const sorted = normal.data.slice().sort();
  let levels = Array.from({ length: 16 }, (_, i) => sorted[Math.floor((i + 0.5) * COUNT / 16)]);
  for (let step = 0; step < 150; step++) {
    const sums = new Float64Array(16);
    const counts = new Float64Array(16);
    let level = 0;
    for (const value of sorted) {
      while (level < 15 && value > (levels[level] + levels[level + 1]) / 2) level++;
      sums[level] += value;
      counts[level]++;
    }
    levels = levels.map((_, i) => sums[i] / counts[i]);
  }
  const format = defineCodebook({ name: "lloyd-max", levels });
  const identity: Mapping = { name: "identity", scale: () => 1 };
  const range = { min: -1, max: 1 };
  const grid = gridOf(perTensor(), normal);
  assertError(
    fakeQuantize(normal, qparamsFromRanges([range], { grid, format, mapping: identity })).data,
    0.0977,
    "16 levels",
  );
});
