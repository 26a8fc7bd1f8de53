// MX formats against torchao; see tests/fixtures/block_formats.json.
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type ByteFormat,
  defineMx,
  dequantizeMx,
  float4E2M1,
  float6E2M3,
  float6E3M2,
  float8E4M3,
  float8E5M2,
  mxfp4,
  mxfp6E2M3,
  mxfp6E3M2,
  mxfp8E4M3,
  mxfp8E5M2,
  mxScaleCode,
  type MxScaleRule,
  pack,
  quantizeMx,
} from "@quik/quant/formats";
import { bytesAt, floatsAt } from "./_block_fixture.ts";

const elements: ByteFormat[] = [float4E2M1, float6E2M3, float6E3M2, float8E4M3, float8E5M2];
const rules: MxScaleRule[] = ["floor", "ceil", "even", "rceil"];

for (const element of elements) {
  Deno.test(`quantizeMx() gives torchao's scales and codes for ${element.name} by every rule`, () => {
    const values = floatsAt("values");
    for (const scaleRule of rules) {
      const { scales, codes } = quantizeMx(values, { element, scaleRule });
      const name = `${element.name} ${scaleRule}`;
      // torchao gives an all-zero block the smallest scale, whichever rule.
      assertEquals(scales, bytesAt("mx", name, "scales"), name);
      // torchao packs 4-bit codes in pairs and leaves the others in a byte each.
      assertEquals(element.bits === 4 ? pack(codes, 4) : codes, bytesAt("mx", name, "codes"), name);
    }
  });
}

Deno.test("the MX block formats store a scale byte and the codes in order", () => {
  const values = floatsAt("values").subarray(0, 64);
  const formats = [mxfp4, mxfp6E2M3, mxfp6E3M2, mxfp8E4M3, mxfp8E5M2];
  formats.forEach((format, k) => {
    const element = elements[k];
    assertEquals([format.blockSize, format.bytesPerBlock], [32, 1 + 4 * element.bits]);
    const bytes = format.quantize(values);
    const blocks = quantizeMx(values, { element });
    assertEquals(bytes[format.bytesPerBlock], blocks.scales[1]);
    assertEquals(bytes.subarray(1, format.bytesPerBlock), pack(blocks.codes.slice(0, 32), element.bits));
    assertEquals(format.dequantize(bytes, 64), dequantizeMx(blocks, { element }));
  });
});

Deno.test("MX recovers grids times powers of two, and scaling by 2^n moves scales only", () => {
  const grid = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.5, -1, -1.5, -2, -3, -4, -6, 0];
  const values = Float32Array.from([...grid, ...grid], (value) => value * 2 ** -9);
  assertEquals(mxfp4.dequantize(mxfp4.quantize(values), 32), values);
  const plain = quantizeMx(floatsAt("values").subarray(0, 256), { element: float4E2M1 });
  const moved = quantizeMx(floatsAt("values").subarray(0, 256).map((v) => v * 32), { element: float4E2M1 });
  assertEquals(moved.codes, plain.codes);
  assertEquals(moved.scales, plain.scales.map((code) => code + 5));
});

Deno.test("the rules keep their order, and rceil never saturates", () => {
  const values = floatsAt("values");
  for (const element of elements) {
    for (let block = 0; block < values.length / 32; block++) {
      const absmax = Math.max(...values.subarray(32 * block, 32 * block + 32).map(Math.abs));
      if (absmax === 0) continue;
      const code = (scaleRule: MxScaleRule) => mxScaleCode(absmax, { element, scaleRule });
      assert(code("ceil") - code("floor") <= 1 && code("ceil") >= code("floor"));
      assert(code("rceil") - code("floor") <= 1 && code("rceil") >= code("floor"));
      assert(absmax / 2 ** (code("rceil") - 127) <= element.max * (1 + 1e-7));
      assert(absmax / 2 ** (code("floor") - 127) < 2 ** (Math.floor(Math.log2(element.max)) + 1));
    }
  }
});

Deno.test("MX takes NaN to a NaN block, infinity and tiny blocks to the ends of the scale", () => {
  const block = (value: number) => Float32Array.from({ length: 32 }, (_, i) => i === 3 ? value : 0);
  assert(mxfp4.dequantize(mxfp4.quantize(block(NaN)), 32).every(Number.isNaN));
  assertEquals(mxfp4.dequantize(mxfp4.quantize(block(Infinity)), 32)[3], Math.fround(6 * 2 ** 126));
  assertEquals(mxfp4.quantize(block(2 ** -149))[0], 0);
  assertEquals(mxfp4.dequantize(mxfp4.quantize(block(-0)), 32)[3], -0);
  assertEquals(mxScaleCode(3.4e38, { element: float8E4M3, scaleRule: "rceil" }), 247);
});

Deno.test("defineMx() takes other elements and blocks, and refuses what does not fit bytes", () => {
  const format = defineMx("mine", { element: float8E4M3, blockSize: 16, scaleRule: "rceil" });
  const values = floatsAt("values").subarray(0, 32);
  const back = format.dequantize(format.quantize(values), 32);
  values.forEach((value, i) => assert(Math.abs(back[i] - value) <= Math.abs(value) / 16 + 1e-3));
  assertThrows(() => defineMx("odd", { element: float6E2M3, blockSize: 2 }), RangeError, "do not fill bytes");
  assertThrows(() => mxfp4.quantize(new Float32Array(31)), RangeError, "multiple of 32");
  assertThrows(
    () => dequantizeMx({ scales: new Uint8Array(1), codes: new Uint8Array(31) }, { element: float4E2M1 }),
    RangeError,
    "31 codes in blocks of 32 with 1 scales",
  );
  assertThrows(
    () => mxScaleCode(1, { element: float4E2M1, scaleRule: "nearest" as MxScaleRule }),
    RangeError,
    'Cannot scale by "nearest"',
  );
});

Deno.test("MXFP4 recovers blocks whose largest value is 4 or 6 times a power of two, by every rule but those that widen", () => {
  for (const top of [4, 6]) {
    const levels = [0, 0.5, 1, 1.5, 2, 3, 4, 6].filter((level) => level <= top);
    for (const exponent of [-30, -3, 0, 17]) {
      const values = Float32Array.from({ length: 64 }, (_, i) => {
        const level = i % 32 === 0 ? top : levels[(i * 7) % levels.length];
        return (i % 3 === 0 ? -1 : 1) * level * 2 ** exponent;
      });
      const blocks = quantizeMx(values, { element: float4E2M1, scaleRule: "floor" });
      assertEquals(dequantizeMx(blocks, { element: float4E2M1 }), values);
      assertEquals(blocks.scales, Uint8Array.of(127 + exponent, 127 + exponent));
    }
  }
});
