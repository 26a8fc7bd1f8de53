// Properties of every number format, packing order and block format on random bit patterns: more than a million cases.
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  bfloat16,
  type BlockFormat,
  bnbFloat4,
  decodeArray,
  defineCodebook,
  defineFloat,
  dynamic8,
  encodeArray,
  float16,
  float4E2M1,
  float6E2M3,
  float6E3M2,
  float8E4M3,
  float8E5M2,
  float8E8M0,
  int2,
  int3,
  int4,
  int8,
  iq4_nl,
  iq4nlLevels,
  mxfp4,
  mxfp6E2M3,
  mxfp6E3M2,
  mxfp8E4M3,
  mxfp8E5M2,
  nf2,
  nf3,
  nf4,
  type NumberFormat,
  nvfp4,
  pack,
  type PackingOrder,
  q4_0,
  q4_1,
  q4_K,
  q5_0,
  q5_1,
  q6_K,
  q8_0,
  uint2,
  uint3,
  uint4,
  uint8,
  unpack,
} from "@quik/quant/formats";

const formats: NumberFormat[] = [
  ...[int2, int3, int4, int8, uint2, uint3, uint4, uint8],
  ...[float4E2M1, float6E2M3, float6E3M2, float8E4M3, float8E5M2, float8E8M0, float16, bfloat16],
  ...[nf2, nf3, nf4, bnbFloat4, iq4nlLevels, dynamic8],
  defineFloat({ exponentBits: 3, mantissaBits: 4, specials: "none", rounding: "away" }),
  defineFloat({ exponentBits: 5, mantissaBits: 1, bias: 9, specials: "finite-nan" }),
  defineCodebook({ name: "uneven", levels: [-3, 100, 0.25, -0.001, 7, 7.5, 2 ** -20] }),
];

/** Long enough that bulk encoding goes through its table. */
const LENGTH = 2500;
const RUNS = 20;
let cases = 0;

/** Any float32 by its bits, and as often a value of ordinary size. */
const floats = fc.uint32Array({ minLength: LENGTH, maxLength: LENGTH }).map((words) => {
  const values = new Float32Array(words.buffer as ArrayBuffer);
  return values.map((value, i) => i % 2 === 0 ? value : (words[i] / 2 ** 31 - 1) * 2 ** (words[i] % 12 - 4));
});

function check<T>(arbitrary: fc.Arbitrary<T>, property: (value: T) => void, runs = RUNS): void {
  fc.assert(fc.property(arbitrary, property), { numRuns: runs, seed: 20, endOnFailure: true });
}

/** Fails with the first index that breaks a rule; cheaper than an assertion per value. */
function assertEach(count: number, holds: (i: number) => boolean, message: (i: number) => string): void {
  cases += count;
  for (let i = 0; i < count; i++) if (!holds(i)) assert(false, message(i));
}

Deno.test("bulk encoding gives the codes of encode(), whatever the bits", () => {
  check(floats, (values) => {
    for (const format of formats) {
      for (const saturate of [true, false]) {
        const codes = encodeArray(format, values, { saturate });
        assertEach(
          values.length,
          (i) => codes[i] === format.encode(values[i], { saturate }),
          (i) => `${format.name} of ${values[i]}`,
        );
      }
    }
  });
});

Deno.test("encoding is idempotent, takes the nearest value, and keeps order", () => {
  check(floats, (values) => {
    const sorted = values.filter((value) => Number.isFinite(value)).sort();
    for (const format of formats) {
      const rounded = decodeArray(format, encodeArray(format, sorted));
      const again = decodeArray(format, encodeArray(format, rounded));
      const levels = decodeArray(format, Uint16Array.from({ length: 2 ** format.bits }, (_, code) => code))
        .filter(Number.isFinite).sort();
      let near = 0;
      assertEach(sorted.length, (i) => {
        if (format === float8E8M0 && !(sorted[i] >= 2 ** -126)) return true; // no sign; see its documentation
        if (!Object.is(rounded[i], again[i])) return false;
        if (i > 0 && rounded[i] < rounded[i - 1]) return false;
        while (
          near + 1 < levels.length &&
          Math.abs(levels[near + 1] - sorted[i]) <= Math.abs(levels[near] - sorted[i])
        ) {
          near++;
        }
        return Math.abs(rounded[i] - sorted[i]) <= Math.abs(levels[near] - sorted[i]) * (1 + 1e-6);
      }, (i) => `${format.name} of ${sorted[i]}: ${rounded[i]}`);
    }
  });
});

Deno.test("NaN, infinity and signed zero go where each format says", () => {
  for (const format of formats) {
    const hasNan = ["float8E4M3", "float8E5M2", "float8E8M0", "float16", "bfloat16", "float7E5M1"]
      .includes(format.name);
    assertEquals(Number.isNaN(format.decode(format.encode(NaN))), hasNan, format.name);
    const top = format.decode(format.encode(Infinity));
    const hasInfinity = ["float8E5M2", "float16", "bfloat16"].includes(format.name);
    assertEquals(top, hasInfinity ? Infinity : format.max, format.name);
    if (/^b?float/.test(format.name) && format !== float8E8M0) {
      assertEquals(format.decode(format.encode(-0)), -0, format.name);
      assertEquals(format.encode(-Infinity) - format.encode(Infinity), 2 ** (format.bits - 1), format.name);
    } else if (format !== float8E8M0) {
      assertEquals(format.encode(-0), format.encode(0), format.name);
      assertEquals(format.encode(NaN), format.encode(0), format.name);
    }
  }
});

Deno.test("unpack() inverts pack() on random codes, widths, orders and shapes", () => {
  const orders: PackingOrder[] = [
    "row-major",
    "bitsandbytes",
    "gguf",
    "interleaved",
    "compressed-tensors",
    "gptq",
    "awq",
    "marlin",
  ];
  const input = fc.record({
    order: fc.constantFrom(...orders),
    bits: fc.integer({ min: 1, max: 8 }),
    rows: fc.integer({ min: 1, max: 6 }),
    columns: fc.integer({ min: 1, max: 70 }),
    axis: fc.constantFrom(0, 1),
    isSigned: fc.boolean(),
    words: fc.uint32Array({ minLength: 1024, maxLength: 1024 }),
  });
  let legal = 0;
  check(input, ({ order, bits, rows, columns, axis, isSigned, words }) => {
    const isWeight = order === "gptq" || order === "awq" || order === "marlin";
    const shape = isWeight ? [64 * rows, 16 * Math.ceil(columns / 16)] as const : [rows, columns] as const;
    const count = shape[0] * shape[1];
    const codes = Uint8Array.from(
      { length: count },
      (_, i) => (words[i % 1024] >>> (i % 24)) & (2 ** bits - 1),
    );
    const options = isWeight ? { order, shape } : { order, shape, axis: axis as 0 | 1 };
    let packed: Uint8Array<ArrayBuffer>;
    try {
      const signed = Int8Array.from(codes, (code) => (code << (32 - bits)) >> (32 - bits));
      packed = pack(isSigned ? signed : codes, bits, options);
    } catch (error) {
      assert(error instanceof RangeError);
      return;
    }
    legal++;
    const back = unpack(packed, bits, count, options);
    assertEach(
      count,
      (i) => back[i] === codes[i],
      (i) => `${order} ${bits} bits [${shape}] axis ${axis}: code ${i}`,
    );
  }, 1500);
  assert(legal > 200, `${legal} legal cases`);
});

Deno.test("block formats round to within a step of the block's largest value", () => {
  // Largest error over the block's largest magnitude: half the widest gap between levels, and what the scale's own
  // rounding adds; twice as much where the range of a block may lie on one side of zero.
  const bounds: [BlockFormat, number][] = [
    [q4_0, 1 / 8],
    [q4_1, 1 / 14],
    [q5_0, 1 / 16],
    [q5_1, 1 / 30],
    [q8_0, 1 / 250],
    [q4_K, 1 / 5],
    [q6_K, 1 / 20],
    [iq4_nl, 1 / 6],
    [mxfp4, 1 / 4],
    [mxfp6E2M3, 1 / 15],
    [mxfp6E3M2, 1 / 8],
    [mxfp8E4M3, 1 / 8],
    [mxfp8E5M2, 1 / 8],
    [nvfp4, 1 / 5],
  ];
  const input = fc.record({
    words: fc.uint32Array({ minLength: 1024, maxLength: 1024 }),
    exponent: fc.integer({ min: -8, max: 8 }),
  });
  check(input, ({ words, exponent }) => {
    const values = Float32Array.from(words, (word) => (word / 2 ** 31 - 1) ** 3 * 2 ** exponent);
    for (const [format, bound] of bounds) {
      const bytes = format.quantize(values);
      const back = format.dequantize(bytes, values.length);
      const size = format === nvfp4 ? values.length : format.blockSize;
      for (let start = 0; start < values.length; start += size) {
        const absmax = Math.max(...values.subarray(start, start + size).map(Math.abs));
        assertEach(
          size,
          (i) => Math.abs(back[start + i] - values[start + i]) <= bound * absmax,
          (i) => `${format.name} of ${values[start + i]}, largest ${absmax}: ${back[start + i]}`,
        );
      }
    }
  });
});

Deno.test("there were a million cases", () => {
  assert(cases > 1e6, `${cases} cases`);
});
