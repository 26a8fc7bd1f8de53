import { assertEquals, assertThrows } from "@std/assert";
import {
  bnbFloat4,
  defineCodebook,
  encodeArray,
  iq4nlLevels,
  nf2,
  nf3,
  nf4,
  normalFloatLevels,
} from "@quik/quant/formats";

// As printed in QLoRA's appendix and stored in every bitsandbytes checkpoint.
const NF4_TABLE = [
  -1.0,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0.0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1.0,
];

Deno.test("nf4 is generated bit for bit as published", () => {
  assertEquals(normalFloatLevels(4), Float32Array.from(NF4_TABLE));
  assertEquals(NF4_TABLE.map((level) => nf4.encode(level)), NF4_TABLE.map((_, code) => code));
});

Deno.test("nf2 and nf3 come from the same generator", () => {
  assertEquals([0, 1, 2, 3].map((code) => nf2.decode(code)), [-1, 0, NF4_TABLE[11], 1]);
  assertEquals(nf3.decode(3), 0);
  assertEquals(nf3.decode(5), NF4_TABLE[11]);
  assertThrows(() => normalFloatLevels(9), RangeError);
});

Deno.test("bnbFloat4 encodes 0 as code 0, never as code 8", () => {
  assertEquals([0, -0, 1e-4, -1e-4].map((value) => bnbFloat4.encode(value)), [0, 0, 0, 0]);
  for (let code = 0; code < 16; code++) {
    assertEquals(bnbFloat4.encode(bnbFloat4.decode(code)), code === 8 ? 0 : code);
  }
});

Deno.test("defineCodebook() takes the nearest level in any order, ties as asked", () => {
  const levels = [3, -1, 0, 10];
  const even = defineCodebook({ name: "even", levels });
  const lower = defineCodebook({ name: "lower", levels, ties: "lower" });
  // Between 3 (code 0) and 10 (code 3): 6.5; between 0 (code 2) and 3 (code 0): both even; -0.5: codes 1 and 2.
  assertEquals([6.5, 1.5, -0.5].map((value) => even.encode(value)), [0, 2, 2]);
  assertEquals([6.5, 1.5, -0.5].map((value) => lower.encode(value)), [0, 2, 1]);
  assertEquals([NaN, Infinity, -Infinity].map((value) => even.encode(value)), [2, 3, 1]);
  assertEquals([even.min, even.max, even.bits], [-1, 10, 2]);
});

Deno.test("defineCodebook() agrees with a search over all levels, in bulk as one by one", () => {
  const levels = Float32Array.from({ length: 200 }, (_, i) => Math.sin(i * i) * 2 ** (i % 7));
  const format = defineCodebook({ name: "random", levels });
  const values = Float32Array.from({ length: 5000 }, (_, i) => Math.cos(i * 1.7) * 2 ** (i % 9) * 0.3);
  const bulk = encodeArray(format, values);
  values.forEach((value, i) => {
    const distances = Array.from(levels, (level) => Math.abs(level - value));
    assertEquals(format.encode(value), distances.indexOf(Math.min(...distances)));
    assertEquals(bulk[i], format.encode(value));
  });
});

Deno.test("iq4nlLevels has no zero, and takes NaN to the level nearest to it", () => {
  assertEquals(iq4nlLevels.decode(iq4nlLevels.encode(0)), 1);
  assertEquals(iq4nlLevels.decode(iq4nlLevels.encode(NaN)), 1);
});

Deno.test("defineCodebook() throws on bad levels", () => {
  assertThrows(() => defineCodebook({ name: "one", levels: [1] }), RangeError, "2 to 256 levels, not 1");
  assertThrows(() => defineCodebook({ name: "many", levels: new Array(257).fill(0) }), RangeError);
  assertThrows(() => defineCodebook({ name: "nan", levels: [0, NaN] }), TypeError, "level 1 is not finite");
});
