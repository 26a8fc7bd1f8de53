// QLoRA's storage against bitsandbytes itself; tests/fixtures/bitsandbytes/make.py made the fixture.
import { assert, assertAlmostEquals, assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import { unpack } from "@quik/quant/formats";
import {
  createMatrix,
  dequantizeBlocks,
  doubleQuantize,
  dynamicLevels,
  quantizeBlocks,
} from "@quik/quant/quant";
import fixture from "../fixtures/bitsandbytes/nf4.json" with { type: "json" };

const bytes = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const floats = (text: string): Float32Array<ArrayBuffer> => new Float32Array(bytes(text).buffer);
const weight = createMatrix(fixture.rows, fixture.cols, floats(fixture.weight));
const absmax = floats(fixture.absmax);

Deno.test("dynamicLevels() equal bitsandbytes' map to float32 rounding", () => {
  const expected = floats(fixture.dynamicMap);
  dynamicLevels().forEach((level, i) => assertAlmostEquals(level, expected[i], 6e-8));
});

Deno.test("quantizeBlocks() gives bitsandbytes' codes and scales", () => {
  const quantized = quantizeBlocks(weight, { doubleQuantization: false });
  assertEquals(quantized.absmax, absmax);
  const codes = unpack(quantized.codes, 4, weight.data.length);
  const packed = bytes(fixture.packed);
  const expected = codes.map((_, i) => i % 2 === 0 ? packed[i >> 1] >> 4 : packed[i >> 1] & 15);
  assertEquals(codes, expected);
});

// The CPU kernel of bitsandbytes looks levels up in a coarse table and errs next to midpoints; this library does not.
Deno.test("doubleQuantize() gives bitsandbytes' scales, offset, and its codes or nearer ones beside a midpoint", () => {
  const quantized = doubleQuantize(absmax);
  assertAlmostEquals(quantized.offset, fixture.offset, 1e-8);
  const scales = floats(fixture.doubleScales);
  quantized.scales.forEach((scale, i) => assertAlmostEquals(scale / scales[i], 1, 1e-6));
  const codes = bytes(fixture.doubleCodes);
  const levels = dynamicLevels();
  let different = 0;
  quantized.codes.forEach((code, i) => {
    if (code === codes[i]) return;
    different++;
    const ratio = (absmax[i] - quantized.offset) / quantized.scales[i >> 8];
    assertEquals(Math.abs(code - codes[i]), 1);
    assertLess(Math.abs(ratio - levels[code]), Math.abs(ratio - levels[codes[i]]));
  });
  assertLessOrEqual(different, 0.02 * codes.length);
});

Deno.test("dequantizeBlocks() of bitsandbytes' doubly quantized NF4 equals its result to float32 rounding", () => {
  const quantized = quantizeBlocks(weight);
  assert(!(quantized.absmax instanceof Float32Array));
  const restored = dequantizeBlocks({
    ...quantized,
    absmax: { ...quantized.absmax, codes: bytes(fixture.doubleCodes) },
  });
  const expected = floats(fixture.restored);
  const worst = restored.data.reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i])), 0);
  assertLess(worst, 1e-7);
});
