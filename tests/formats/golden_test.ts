// Every code and some thousands of casts against `ml_dtypes` (tests/fixtures/golden/number_formats.json).
import { assertEquals } from "@std/assert";
import {
  bfloat16,
  decodeArray,
  defineFloat,
  encodeArray,
  float16,
  float4E2M1,
  float6E2M3,
  float6E3M2,
  float8E4M3,
  float8E5M2,
  float8E8M0,
  type NumberFormat,
} from "@quik/quant/formats";

interface Golden {
  readonly decode: Record<string, number[]>;
  readonly encode: Record<string, number[]>;
}

const golden: Golden = JSON.parse(
  await Deno.readTextFile(new URL("../fixtures/golden/number_formats.json", import.meta.url)),
);

const formats: Record<string, NumberFormat> = {
  float8_e4m3fn: float8E4M3,
  float8_e5m2: float8E5M2,
  float8_e4m3: defineFloat({ exponentBits: 4, mantissaBits: 3 }),
  float8_e8m0fnu: float8E8M0,
  float6_e2m3fn: float6E2M3,
  float6_e3m2fn: float6E3M2,
  float4_e2m1fn: float4E2M1,
  bfloat16,
  float16,
};

function floatsOf(words: number[]): Float32Array<ArrayBuffer> {
  return new Float32Array(Uint32Array.from(words).buffer);
}

Deno.test("every code of the float formats decodes to the golden value", () => {
  for (const [name, words] of Object.entries(golden.decode)) {
    const expected = floatsOf(words);
    const codes = Uint16Array.from(expected, (_, code) => code);
    const bulk = decodeArray(formats[name], codes);
    assertEquals(expected.length, 2 ** formats[name].bits);
    for (const code of codes) {
      assertEquals(formats[name].decode(code), expected[code], `${name} code ${code}`);
      assertEquals(bulk[code], expected[code], `${name} code ${code} in bulk`);
    }
  }
});

Deno.test("every golden input encodes to the golden code without saturation, in bulk and one by one", () => {
  const values = floatsOf(golden.encode.input_f32_bits);
  for (const [name, expected] of Object.entries(golden.encode)) {
    if (name === "input_f32_bits") continue;
    const format = formats[name];
    const bulk = encodeArray(format, values, { saturate: false });
    for (let i = 0; i < values.length; i++) {
      const message = `${name} of ${values[i]}`;
      assertEquals(format.encode(values[i], { saturate: false }), expected[i], message);
      assertEquals(bulk[i], expected[i], `${message} in bulk`);
    }
  }
});

Deno.test("the saturating cast differs from the golden one only where it clamps", () => {
  const values = floatsOf(golden.encode.input_f32_bits);
  for (const [name, expected] of Object.entries(golden.encode)) {
    if (name === "input_f32_bits") continue;
    const format = formats[name];
    const bulk = encodeArray(format, values);
    let clamped = 0;
    for (let i = 0; i < values.length; i++) {
      const code = format.encode(values[i]);
      assertEquals(bulk[i], code, `${name} of ${values[i]} in bulk`);
      if (code === expected[i]) continue;
      clamped++;
      const limit = values[i] > format.max ? format.max : values[i] === 0 ? 2 ** -127 : format.min;
      assertEquals(format.decode(code), limit, `${name} of ${values[i]}`);
      assertEquals(Number.isFinite(format.decode(expected[i])), false, `${name} of ${values[i]}`);
    }
    const hasOverflow = format.encode(1e30, { saturate: false }) !== format.encode(1e30) ||
      format === float8E8M0;
    assertEquals(clamped > 0, hasOverflow, name);
  }
});

Deno.test("infinity keeps its code where there is one, and clamps otherwise or when asked", () => {
  assertEquals(float8E5M2.encode(Infinity), 0x7c);
  assertEquals(float16.encode(-Infinity), 0xfc00);
  assertEquals(float8E4M3.encode(-Infinity), 0xfe);
  assertEquals(float8E4M3.encode(Infinity, { saturate: false }), 0x7f);
  assertEquals(float4E2M1.encode(Infinity), 7);
  assertEquals(float8E8M0.encode(Infinity), 254);
  const satfinite = defineFloat({ exponentBits: 5, mantissaBits: 2, saturateInfinity: true });
  assertEquals(satfinite.encode(Infinity), 0x7b);
  assertEquals(satfinite.encode(Infinity, { saturate: false }), 0x7c);
});
