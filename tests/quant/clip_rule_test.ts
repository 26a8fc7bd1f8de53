import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { float4E2M1, int4, nf4, type NumberFormat, uint4 } from "@quik/quant/formats";
import {
  baseColumns,
  chooseQparams,
  type ClipRule,
  createMatrix,
  createRandom,
  dampedInverseFactor,
  fakeQuantize,
  formatGrid,
  hessianClip,
  hessianOf,
  integerGrid,
  type MappingName,
  type Matrix,
  mseClip,
  outputClip,
  percentileClip,
  perGroup,
  ratioClip,
  toMatrix64,
} from "@quik/quant/quant";
import { readGoldenLayer } from "./_golden.ts";

function powerError(a: Matrix, b: Matrix, exponent: number): number {
  return a.data.reduce((sum, value, i) => sum + Math.abs(value - b.data[i]) ** exponent, 0);
}

function randomMatrix(rows: number, cols: number, seed: number): Matrix {
  const random = createRandom(seed);
  return createMatrix(rows, cols, Float32Array.from({ length: rows * cols }, () => random.normal() ** 3));
}

Deno.test("mseClip() finds the scales of the hand-computed rows", () => {
  const outlier = Float32Array.from({ length: 16 }, (_, j) => Math.sin(1.7 * j) * (j === 5 ? 4 : 1));
  const smooth = Float32Array.from({ length: 16 }, (_, j) => Math.sin(0.9 * j + 0.3));
  const table: [Float32Array<ArrayBuffer>, number, number, number | undefined][] = [
    [outlier, 2.4, 0.45171557, 0.08568583],
    [outlier, 2, 0.45627835, undefined],
    [smooth, 2.4, 0.13946305, 0.0027919],
  ];
  for (const [data, exponent, scale, error] of table) {
    const matrix = createMatrix(1, 16, data);
    const qparams = chooseQparams(matrix, {
      format: int4,
      mapping: "sym-restricted",
      clip: mseClip({ exponent }),
    });
    assertAlmostEquals(qparams.scale[0], scale, 1e-7);
    if (error !== undefined) {
      assertAlmostEquals(powerError(matrix, fakeQuantize(matrix, qparams), 2.4), error, 1e-6);
    }
  }
  const unclipped = chooseQparams(createMatrix(1, 16, outlier), { format: int4, mapping: "sym-restricted" });
  assertAlmostEquals(unclipped.scale[0], 0.45627835, 1e-7);
});

Deno.test("mseClip() finds the scales of QUIK's own code, row by row", async () => {
  const { weight, outliers, scales } = await readGoldenLayer("w4a4_clip");
  const base = baseColumns(weight.cols, outliers);
  const kept = createMatrix(
    weight.rows,
    base.length,
    Float32Array.from(
      { length: weight.rows * base.length },
      (_, i) => weight.data[Math.floor(i / base.length) * weight.cols + base[i % base.length]],
    ),
  );
  const qparams = chooseQparams(kept, { format: int4, mapping: "sym-restricted", clip: mseClip() });
  qparams.scale.forEach((scale, r) => assertAlmostEquals(scale / scales[r], 1, 1e-6, `row ${r}`));
});

Deno.test("mseClip() keeps the widest of equal candidates", () => {
  // Every candidate rounds zeros exactly: the first, p = 1, stays.
  const zeros = createMatrix(1, 4);
  assertEquals(
    chooseQparams(zeros, { format: int4, mapping: "sym-full", clip: mseClip() }).scale[0],
    Math.fround(2 / 15),
  );
});

Deno.test("a search never does worse than the full range by its own measure", () => {
  const matrix = randomMatrix(12, 64, 1);
  const inputs = randomMatrix(20, 64, 2);
  const outputError = (rounded: Matrix): number => {
    let error = 0;
    for (let r = 0; r < 12; r++) {
      for (let t = 0; t < 20; t++) {
        // Group by group, as the search scores them.
        for (let g = 0; g < 64; g += 16) {
          let sum = 0;
          for (let c = g; c < g + 16; c++) {
            sum += inputs.data[t * 64 + c] * (rounded.data[r * 64 + c] - matrix.data[r * 64 + c]);
          }
          error += sum * sum;
        }
      }
    }
    return error;
  };
  const measures: [ClipRule, (rounded: Matrix) => number][] = [
    [mseClip(), (rounded) => powerError(matrix, rounded, 2.4)],
    [mseClip({ exponent: 2 }), (rounded) => powerError(matrix, rounded, 2)],
    [outputClip(inputs), outputError],
  ];
  const formats: [NumberFormat, MappingName][] = [
    [int4, "sym-restricted"],
    [uint4, "asym"],
    [nf4, "absmax"],
    [float4E2M1, "absmax"],
  ];
  for (const [format, mapping] of formats) {
    const options = { format, mapping, granularity: perGroup(16) };
    for (const [clip, measure] of measures) {
      const plain = measure(fakeQuantize(matrix, chooseQparams(matrix, options)));
      const clipped = measure(fakeQuantize(matrix, chooseQparams(matrix, { ...options, clip })));
      assertLess(clipped, plain, `${clip.name} ${format.name}`);
    }
  }
});

Deno.test("hessianClip() measures by the Hessian, and as plain squares where inputs are independent", () => {
  const matrix = randomMatrix(6, 48, 5);
  const options = { format: int4, mapping: "sym-restricted", granularity: perGroup(16) } as const;
  const scales = (clip: ClipRule) => chooseQparams(matrix, { ...options, clip }).scale;
  const identity = createMatrix(
    48,
    48,
    Float32Array.from({ length: 48 * 48 }, (_, i) => i % 49 === 0 ? 1 : 0),
  );
  assertEquals(scales(hessianClip(identity)), scales(mseClip({ exponent: 2, maxShrink: 0.76 })));

  // The score against its definition, restricted to each group.
  const hessian = hessianOf(randomMatrix(100, 48, 6));
  const { factor } = dampedInverseFactor(toMatrix64(hessian), { percDamp: 0.1 });
  const measure = (rounded: Matrix): number => {
    let total = 0;
    for (let start = 0; start < matrix.data.length; start += 16) {
      const col = start % 48;
      const z = new Float64Array(16);
      for (let j = 0; j < 16; j++) {
        let value = rounded.data[start + j] - matrix.data[start + j];
        for (let i = 0; i < j; i++) value -= z[i] * factor.data[(col + i) * 48 + col + j];
        z[j] = value / factor.data[(col + j) * 48 + col + j];
        total += z[j] ** 2;
      }
    }
    return total;
  };
  const errorWith = (clip: boolean | ClipRule) =>
    measure(fakeQuantize(matrix, chooseQparams(matrix, { ...options, clip })));
  const found = errorWith(hessianClip(hessian));
  for (
    const clip of [false, true, mseClip({ exponent: 2 }), ratioClip(0.9), ratioClip(0.8), ratioClip(0.7)]
  ) {
    // The candidates of every other rule that reach as far down are among those searched.
    assert(found <= errorWith(clip) * (1 + 1e-9));
  }
});

Deno.test("percentileClip() and ratioClip() set the range directly", () => {
  const values = createMatrix(1, 101, Float32Array.from({ length: 101 }, (_, i) => i - 50));
  const scaleOf = (clip: ClipRule) =>
    chooseQparams(values, { format: int4, mapping: "sym-restricted", clip }).scale[0];
  assertEquals(scaleOf(percentileClip(0.9)), Math.fround(40 / 7));
  assertEquals(scaleOf(percentileClip(1)), Math.fround(50 / 7));
  assertEquals(scaleOf(ratioClip(0.9)), Math.fround(45 / 7));
  assertThrows(() => percentileClip(0.5), RangeError);
  assertThrows(() => ratioClip(0), RangeError);
  assertThrows(() => scaleOf(mseClip({ maxShrink: 0 })), RangeError, "there is no candidate");
});

Deno.test("a clip rule of one's own sees the block and its reconstruction", () => {
  const seen: number[] = [];
  const halve: ClipRule = {
    name: "halve",
    range: (block) => {
      seen.push(block.place.col, block.values.length);
      const range = { min: block.fullRange.min / 2, max: block.fullRange.max / 2 };
      assert(Math.max(...block.reconstruct(range)) <= range.max);
      return range;
    },
  };
  chooseQparams(createMatrix(1, 5, Float32Array.of(7, 1, 2, 14, 3)), {
    format: int4,
    granularity: perGroup(3),
    clip: halve,
  });
  assertEquals(seen, [0, 3, 3, 2]);
});

Deno.test("formatGrid() fits as the integer grid of GPTQ does, and takes any format", () => {
  const values = randomMatrix(1, 128, 3).data;
  for (const clip of [false, true]) {
    const grid = formatGrid({ format: int4, mapping: "sym-restricted", clip });
    const fitted = grid.fit(values);
    const expected = integerGrid({ bits: 4, clip, scaleBits: 32 }).fit(values);
    assertEquals(fitted.scale, expected.scale);
    for (const value of values) assertEquals(fitted.encode(value), expected.encode(value));
  }
  const nf4Grid = formatGrid({ format: nf4 });
  assertEquals([nf4Grid.bits, nf4Grid.groupBits, nf4Grid.fit(values).decode(15)], [
    4,
    32,
    nf4Grid.fit(values).scale,
  ]);
  assertThrows(() => formatGrid({ format: uint4, mapping: "min-max" }), RangeError, "no offset");
});
