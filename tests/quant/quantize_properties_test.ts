// Properties of scales and codes on random matrices, formats, mappings and blocks.
import { assert } from "@std/assert";
import fc from "fast-check";
import {
  float16,
  float4E2M1,
  float8E4M3,
  int3,
  int4,
  int8,
  nf4,
  type NumberFormat,
  uint4,
  uint8,
} from "@quik/quant/formats";
import {
  blocksOf,
  chooseQparams,
  clippedFraction,
  createMatrix,
  createRandom,
  dequantize,
  type Granularity,
  type MappingName,
  perBlock,
  perChannel,
  perGroup,
  perTensor,
  quantize,
} from "@quik/quant/quant";

/** Format, mapping, largest error in steps. */
const schemes: [NumberFormat, MappingName, number][] = [
  [int3, "sym-restricted", 0.5],
  [int4, "sym-restricted", 0.5],
  [int8, "sym-restricted", 0.5],
  [int4, "sym-no-clip", 0.5],
  [uint4, "sym-restricted", 0.5],
  [uint4, "sym-full", 1],
  [uint4, "asym", 1],
  [uint8, "asym", 1],
  [uint4, "min-max", 0.5],
  [float4E2M1, "absmax", 1],
  [float8E4M3, "absmax", 16],
  [nf4, "absmax", 0.152],
];

const granularities: fc.Arbitrary<Granularity> = fc.oneof(
  fc.constantFrom(perTensor(), perChannel()),
  fc.integer({ min: 1, max: 40 }).map(perGroup),
  fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 30 })).map(([r, c]) => perBlock(r, c)),
);

const inputs = fc.record({
  rows: fc.integer({ min: 1, max: 12 }),
  cols: fc.integer({ min: 1, max: 70 }),
  exponent: fc.integer({ min: -20, max: 20 }),
  seed: fc.integer(),
  granularity: granularities,
  scheme: fc.constantFrom(...schemes),
  scaleFormat: fc.constantFrom(undefined, undefined, float16),
});

Deno.test("codes are in range, idempotent with frozen parameters, in order, and within their steps", () => {
  fc.assert(
    fc.property(inputs, ({ rows, cols, exponent, seed, granularity, scheme, scaleFormat }) => {
      const [format, mapping, steps] = scheme;
      const random = createRandom(seed);
      const scale = 2 ** (scaleFormat === undefined ? exponent : exponent / 8);
      const data = Float32Array.from({ length: rows * cols }, () => random.normal() ** 3 * scale);
      const matrix = createMatrix(rows, cols, data.slice());
      const qparams = chooseQparams(matrix, { format, mapping, granularity, scaleFormat });
      const once = quantize(matrix, qparams);
      const values = dequantize(once);
      const twice = quantize(values, qparams);
      assert(data.every((value, i) => value === matrix.data[i]), "the input is as it was");
      assert(once.codes.every((code) => code < 2 ** format.bits), "codes fit their bits");
      if (qparams.offset === undefined) {
        assert(once.codes.every((code, i) => code === twice.codes[i]), "idempotent");
      }
      if (scaleFormat === undefined) {
        // The range was taken from these values, so nothing clips, but a rounded zero point may move an end out by half a
        // step, and sym-full leaves the top of its range half a step outside.
        const mayClip = mapping.startsWith("asym") || mapping === "sym-full";
        assert(mayClip || clippedFraction(matrix, qparams) === 0, "nothing clips");
        for (const place of blocksOf(qparams.grid)) checkBlock(place, steps);
      }

      function checkBlock(
        place: { index: number; row: number; col: number; rows: number; cols: number },
        limit: number,
      ) {
        const step = Math.abs(qparams.scale[place.index]);
        const pairs: [number, number][] = [];
        for (let r = place.row; r < place.row + place.rows; r++) {
          for (let c = place.col; c < place.col + place.cols; c++) {
            pairs.push([matrix.data[r * cols + c], values.data[r * cols + c]]);
          }
        }
        pairs.sort((a, b) => a[0] - b[0]);
        pairs.forEach(([exact, rounded], i) => {
          assert(
            Math.abs(exact - rounded) <= limit * step * (1 + 1e-4),
            `${format.name} ${mapping}: ${exact}, ${rounded}`,
          );
          assert(i === 0 || rounded >= pairs[i - 1][1], "order is kept");
        });
      }
    }),
    { numRuns: 600, seed: 21 },
  );
});
