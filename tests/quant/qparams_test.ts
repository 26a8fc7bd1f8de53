import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  bfloat16,
  float16,
  float4E2M1,
  float8E4M3,
  float8E5M2,
  float8E8M0,
  int4,
  int8,
  nf4,
  type NumberFormat,
  signExtend,
  uint2,
  uint4,
  uint8,
} from "@quik/quant/formats";
import {
  blocksOf,
  chooseQparams,
  createMatrix,
  createRandom,
  dequantize,
  fakeQuantize,
  type Granularity,
  gridOf,
  type Mapping,
  type MappingName,
  type Matrix,
  perBlock,
  perChannel,
  perGroup,
  perTensor,
  perToken,
  quantize,
} from "@quik/quant/quant";

function row(...values: number[]): Matrix {
  return createMatrix(1, values.length, Float32Array.from(values));
}

function randomMatrix(rows: number, cols: number, seed: number): Matrix {
  const random = createRandom(seed);
  return createMatrix(rows, cols, Float32Array.from({ length: rows * cols }, () => random.normal()));
}

Deno.test("gridOf() tiles a matrix, with smaller blocks at the edges", () => {
  const shape = { rows: 5, cols: 7 };
  const counts: [Granularity, number, number][] = [
    [perTensor(), 1, 1],
    [perChannel(), 5, 1],
    [perToken(), 5, 1],
    [perGroup(3), 5, 3],
    [perBlock(2, 4), 3, 2],
    [perBlock(Infinity, 1), 1, 7],
  ];
  for (const [granularity, gridRows, gridCols] of counts) {
    const grid = gridOf(granularity, shape);
    assertEquals([grid.gridRows, grid.gridCols], [gridRows, gridCols]);
    const seen = new Uint8Array(35);
    let index = 0;
    for (const place of blocksOf(grid)) {
      assertEquals(place.index, index++);
      for (let r = place.row; r < place.row + place.rows; r++) {
        for (let c = place.col; c < place.col + place.cols; c++) seen[r * 7 + c]++;
      }
    }
    assertEquals(index, gridRows * gridCols);
    assert(seen.every((count) => count === 1));
  }
  assertThrows(() => perGroup(0), RangeError, "groups of 0");
  assertThrows(() => perBlock(2, 1.5), RangeError, "block columns of 1.5");
});

Deno.test("the mappings compute scale and zero point as their sources do", () => {
  const values = row(-1, 0.5, 2, 3.5);
  const table: [MappingName, NumberFormat, number, number, number][] = [
    ["absmax", int4, 0.5, 0, 0],
    ["absmax", float8E4M3, 3.5 / 448, 0, 0],
    ["absmax", float4E2M1, 3.5 / 6, 0, 0],
    ["absmax", nf4, 3.5, 0, 0],
    ["sym-restricted", int4, 0.5, 0, 0],
    ["sym-restricted", uint4, 0.5, 8, 0],
    ["sym-restricted", int8, 3.5 / 127, 0, 0],
    ["sym-full", uint4, 7 / 15, 8, 0],
    ["sym-full", int4, 7 / 15, 0, 0],
    ["sym-no-clip", int4, 0.5, 0, 0],
    ["sym-signed", int4, 3.5 / -8, 0, 0],
    ["asym", uint4, 0.3, 3, 0],
    ["asym", int4, 0.3, -5, 0],
    ["asym-raw", uint4, 0.3, 3, 0],
    ["min-max", uint4, 0.3, 0, -1],
    ["min-max", int4, 0.3, -8, -1],
  ];
  for (const [mapping, format, scale, zeroPoint, offset] of table) {
    const qparams = chooseQparams(values, { format, mapping });
    const name = `${mapping} ${format.name}`;
    assertEquals(qparams.scale[0], Math.fround(scale), name);
    assertEquals(qparams.zeroPoint?.[0] ?? 0, zeroPoint, name);
    assertEquals(qparams.offset?.[0] ?? 0, offset, name);
  }
  // Where the range does not hold zero, only asym is widened.
  const positive = row(1, 1.5, 4);
  assertEquals(chooseQparams(positive, { format: uint4, mapping: "asym" }).scale[0], Math.fround(4 / 15));
  const raw = chooseQparams(positive, { format: uint4, mapping: "asym-raw" });
  assertEquals([raw.scale[0], raw.zeroPoint], [Math.fround(0.2), undefined]);
  assertEquals(
    chooseQparams(row(1, 1), { format: uint4, mapping: "asym-raw" }).scale[0],
    Math.fround(1e-5 / 15),
  );
});

Deno.test("min-max with int4 gives the codes of QUIK's kernel", () => {
  const values = row(-1, -0.875, -0.625, 0, 0.3, 1.125, 2, 2.75);
  const qparams = chooseQparams(values, { format: int4, mapping: "min-max", granularity: perToken() });
  assertEquals([qparams.scale[0], qparams.offset?.[0]], [0.25, -1]);
  const { codes } = quantize(values, qparams);
  assertEquals(signExtend(codes as Uint8Array<ArrayBuffer>, 4), Int8Array.of(-8, -8, -6, -4, -3, 0, 4, 7));
});

Deno.test("asym gives the codes of QUIK's simulation, min-max those of its kernel", () => {
  const values = row(1, 1.2, 1.9, 2.5);
  const simulation = quantize(values, chooseQparams(values, { format: uint4, mapping: "asym" }));
  assertEquals([...simulation.codes], [6, 7, 11, 15]);
  const kernel = quantize(values, chooseQparams(values, { format: uint4, mapping: "min-max" }));
  assertEquals([...kernel.codes], [0, 2, 9, 15]);
});

Deno.test("no mapping clips: the error stays within the steps next to each value", () => {
  const matrix = randomMatrix(16, 67, 1);
  const cases: [MappingName, NumberFormat, number][] = [
    ["sym-restricted", int4, 0.5],
    ["sym-restricted", uint4, 0.5],
    ["sym-no-clip", int4, 0.5],
    ["min-max", uint4, 0.5],
    ["min-max", int4, 0.5],
    ["asym", uint8, 1], // the rounded zero point may push an end out by half a step
    ["asym", uint2, 1],
    ["sym-full", uint4, 1], // the top level lies half a step below the maximum
  ];
  for (const [mapping, format, bound] of cases) {
    for (const granularity of [perTensor(), perChannel(), perGroup(16), perBlock(5, 13)]) {
      const qparams = chooseQparams(matrix, { format, mapping, granularity });
      const rounded = fakeQuantize(matrix, qparams);
      for (const place of blocksOf(qparams.grid)) {
        const scale = qparams.scale[place.index];
        for (let r = place.row; r < place.row + place.rows; r++) {
          for (let c = place.col; c < place.col + place.cols; c++) {
            const error = Math.abs(rounded.data[r * 67 + c] - matrix.data[r * 67 + c]);
            assert(
              error <= bound * scale * (1 + 1e-5),
              `${mapping} ${format.name} ${granularity.name}: ${error / scale}`,
            );
          }
        }
      }
    }
  }
});

Deno.test("asym-raw clips a range that does not hold zero, as AWQ's clamped zero point does", () => {
  const values = row(10, 10.5, 11);
  const rounded = fakeQuantize(values, chooseQparams(values, { format: uint4, mapping: "asym-raw" }));
  assertEquals(rounded.data, new Float32Array(3).fill(15 * Math.fround(1 / 15)));
  const widened = fakeQuantize(values, chooseQparams(values, { format: uint4, mapping: "asym" }));
  assertAlmostEquals(widened.data[2], 11, 1e-6);
});

Deno.test("quantization is idempotent with frozen parameters", () => {
  const matrix = randomMatrix(8, 48, 2);
  const options: [NumberFormat, MappingName][] = [
    [int4, "sym-restricted"],
    [uint4, "sym-full"],
    [uint4, "asym"],
    [uint4, "asym-raw"],
    [float8E4M3, "absmax"],
    [float8E5M2, "absmax"],
    [float4E2M1, "absmax"],
    [nf4, "absmax"],
    [float16, "absmax"],
  ];
  for (const [format, mapping] of options) {
    const qparams = chooseQparams(matrix, { format, mapping, granularity: perGroup(16) });
    const once = quantize(matrix, qparams);
    const twice = quantize(dequantize(once), qparams);
    assertEquals(twice.codes, once.codes, `${format.name} ${mapping}`);
  }
});

Deno.test("zeros and constants get finite scales and come back exactly", () => {
  const zeros = createMatrix(2, 5);
  for (
    const mapping of [
      "sym-restricted",
      "sym-full",
      "sym-no-clip",
      "sym-signed",
      "asym",
      "asym-raw",
      "min-max",
    ] as const
  ) {
    for (const format of [int4, uint4]) {
      if (format === uint4 && (mapping === "sym-no-clip" || mapping === "sym-signed")) continue;
      const qparams = chooseQparams(zeros, { format, mapping });
      assert(qparams.scale.every((scale) => Number.isFinite(scale) && scale !== 0), mapping);
      assert(fakeQuantize(zeros, qparams).data.every((value) => value === 0), mapping);
    }
  }
  assertEquals(
    chooseQparams(zeros, { format: int4, mapping: "sym-restricted" }).scale[0],
    Math.fround(1 / 7),
  );
  const constant = row(0.7, 0.7, 0.7);
  const qparams = chooseQparams(constant, { format: int4, mapping: "min-max" });
  assertEquals(qparams.scale[0], Math.fround(1e-6));
  assertEquals(fakeQuantize(constant, qparams), constant);
});

Deno.test("a range too small for float32 still gives a scale above zero", () => {
  const tiny = row(2 ** -149, -(2 ** -149));
  const qparams = chooseQparams(tiny, { format: int8, mapping: "sym-restricted" });
  assertEquals(qparams.scale[0], 2 ** -149);
  assertEquals(fakeQuantize(tiny, qparams), tiny);
});

Deno.test("NaN is left out of the range and keeps to its format; infinity is refused", () => {
  const values = row(NaN, 1, -2);
  const float = chooseQparams(values, { format: float8E4M3 });
  assertEquals(float.scale[0], Math.fround(2 / 448));
  assertEquals([...fakeQuantize(values, float).data], [
    NaN,
    fakeQuantize(row(1), { ...float, grid: gridOf(perTensor(), row(1)) }).data[0],
    -2,
  ]);
  const asym = chooseQparams(values, { format: uint4, mapping: "asym" });
  assertEquals(fakeQuantize(values, asym).data[0], 0);
  assertThrows(() => chooseQparams(row(1, Infinity), { format: int4 }), RangeError, "infinite value");
  // Infinity met later, under parameters chosen before, saturates.
  assertEquals(
    quantize(row(Infinity, -Infinity, 0), chooseQparams(row(7, 1, 1), { format: int4 })).codes,
    Uint8Array.of(7, 8, 0),
  );
});

Deno.test("scales are rounded to their storage format before codes are computed", () => {
  const matrix = randomMatrix(4, 64, 3);
  for (const scaleFormat of [float16, bfloat16, float8E4M3, float8E8M0]) {
    const qparams = chooseQparams(matrix, {
      format: uint4,
      mapping: "asym",
      granularity: perGroup(16),
      scaleFormat,
    });
    for (const place of blocksOf(qparams.grid)) {
      const scale = qparams.scale[place.index];
      assertEquals(scaleFormat.decode(scaleFormat.encode(scale)), scale, scaleFormat.name);
      const min = Math.min(
        0,
        ...matrix.data.subarray(place.row * 64 + place.col, place.row * 64 + place.col + 16),
      );
      assertEquals(qparams.zeroPoint?.[place.index] ?? 0, Math.round(-min / scale), scaleFormat.name);
    }
  }
  const tiny = chooseQparams(row(1e-9), { format: int4, scaleFormat: float16 });
  assertEquals(tiny.scale[0], 2 ** -24);
});

Deno.test("narrowRange leaves the lowest level unused", () => {
  const matrix = row(-4, 1, 7);
  const frozen = chooseQparams(matrix, { format: int4, narrowRange: true });
  assertEquals(frozen.levels, { min: -7, max: 7 });
  assertEquals(quantize(row(-9, 0, 0), frozen).codes[0], 9);
});

Deno.test("a mapping of one's own is used like a named one", () => {
  const powerOfTwo: Mapping = {
    name: "power-of-two",
    scale: (range, levels) => 2 ** Math.ceil(Math.log2(Math.max(-range.min, range.max) / levels.max)),
  };
  const qparams = chooseQparams(row(3, -1.5), { format: int4, mapping: powerOfTwo });
  assertEquals(qparams.scale[0], 0.5);
});

Deno.test("quantize() and dequantize() do not change their arguments and check shapes", () => {
  const matrix = randomMatrix(3, 10, 4);
  const before = matrix.data.slice();
  const quantized = quantize(matrix, chooseQparams(matrix, { format: uint4, granularity: perGroup(4) }));
  dequantize(quantized);
  assertEquals(matrix.data, before);
  assertThrows(
    () => quantize(row(1, 2), quantized.qparams),
    RangeError,
    "[1, 2] matrix with parameters for [3, 10]",
  );
  assertThrows(
    () => dequantize({ ...quantized, codes: new Uint8Array(3) }),
    RangeError,
    "Cannot dequantize 3 codes",
  );
  assertThrows(
    () => chooseQparams(matrix, { format: int4, mapping: "nearest" as MappingName }),
    RangeError,
    'Cannot map values by "nearest"',
  );
});

Deno.test("finer blocks never enlarge a scale", () => {
  const matrix = randomMatrix(8, 32, 5);
  const whole = chooseQparams(matrix, { format: float8E4M3, granularity: perTensor() }).scale[0];
  for (const granularity of [perChannel(), perGroup(8), perBlock(4, 16)]) {
    for (const scale of chooseQparams(matrix, { format: float8E4M3, granularity }).scale) {
      assert(scale <= whole);
    }
  }
  assertAlmostEquals(
    Math.max(...chooseQparams(matrix, { format: float8E4M3, granularity: perGroup(8) }).scale),
    whole,
  );
});

Deno.test("parameters taken from quantized values are a fixed point of asym, not of sym-full", () => {
  const matrix = randomMatrix(16, 64, 9);
  const moved = (mapping: MappingName): number => {
    const options = { format: uint4, mapping, granularity: perChannel() };
    const once = fakeQuantize(matrix, chooseQparams(matrix, options));
    const twice = fakeQuantize(once, chooseQparams(once, options));
    return twice.data.reduce((count, value, i) => count + (Math.abs(value - once.data[i]) > 1e-5 ? 1 : 0), 0);
  };
  assertEquals(moved("asym"), 0);
  assert(moved("sym-full") > 0);
});
