import { assertEquals } from "@std/assert";
import { bfloat16, decodeArray, encodeArray, float16 } from "@quik/quant/formats";

/** `assertEquals` for long arrays in which NaN equals NaN whatever its payload. */
function assertSameValues(actual: Float32Array, expected: Float32Array): void {
  assertEquals(actual.length, expected.length);
  for (let i = 0; i < actual.length; i++) {
    if (!Object.is(actual[i], expected[i])) assertEquals(actual[i], expected[i], `index ${i}`);
  }
}

const allCodes = Uint16Array.from({ length: 65536 }, (_, code) => code);

Deno.test("float16 decodes all 65,536 codes as DataView does", () => {
  const view = new DataView(new ArrayBuffer(2));
  const expected = Float32Array.from(allCodes, (code) => {
    view.setUint16(0, code);
    return view.getFloat16(0);
  });
  assertSameValues(decodeArray(float16, allCodes), expected);
});

Deno.test("bfloat16 decodes all 65,536 codes as the upper half of a float32", () => {
  const expected = new Float32Array(Uint32Array.from(allCodes, (code) => code << 16).buffer);
  assertSameValues(decodeArray(bfloat16, allCodes), expected);
});

Deno.test("float16 and bfloat16 encode every code's value back to it, one by one and in bulk", () => {
  for (const format of [float16, bfloat16]) {
    const values = decodeArray(format, allCodes);
    const bulk = encodeArray(format, values);
    const nan = format.encode(NaN);
    for (let code = 0; code < 65536; code++) {
      const expected = Number.isNaN(values[code]) ? nan : code;
      if (format.encode(values[code]) !== expected || bulk[code] !== expected) {
        assertEquals(
          [format.encode(values[code]), bulk[code]],
          [expected, expected],
          `${format.name} ${code}`,
        );
      }
    }
  }
});

Deno.test("float16 encodes halfway points and their neighbors as DataView does, saturating or not", () => {
  const view = new DataView(new ArrayBuffer(4));
  const inputs: number[] = [];
  for (let code = 0; code < 0x7c00; code++) {
    const half = (float16.decode(code) + (code === 0x7bff ? 65536 : float16.decode(code + 1))) / 2;
    view.setFloat32(0, half);
    const word = view.getUint32(0);
    for (const neighbor of [word - 1, word, word + 1]) {
      view.setUint32(0, neighbor);
      inputs.push(view.getFloat32(0), -view.getFloat32(0));
    }
  }
  const values = Float32Array.from(inputs);
  const expected = Uint16Array.from(values, (value) => {
    view.setFloat16(0, value);
    return view.getUint16(0);
  });
  assertEquals(encodeArray(float16, values, { saturate: false }), expected);
  const saturated = expected.map((code) => (code & 0x7fff) === 0x7c00 ? code - 1 : code);
  assertEquals(encodeArray(float16, values), saturated);
  for (let i = 0; i < values.length; i += 13) {
    assertEquals(float16.encode(values[i], { saturate: false }), expected[i]);
    assertEquals(float16.encode(values[i]), saturated[i]);
  }
});

Deno.test("bfloat16 rounds the lower half to nearest even, saturating or not", () => {
  const words = Uint32Array.of(
    0x3f808000,
    0x3f818000,
    0x3f808001,
    0x3f807fff,
    0x7f7f8000,
    0xff7fffff,
    1,
    0x80008000,
  );
  const values = new Float32Array(words.buffer);
  const ieee = [0x3f80, 0x3f82, 0x3f81, 0x3f80, 0x7f80, 0xff80, 0, 0x8000];
  const saturated = [0x3f80, 0x3f82, 0x3f81, 0x3f80, 0x7f7f, 0xff7f, 0, 0x8000];
  assertEquals([...encodeArray(bfloat16, values, { saturate: false })], ieee);
  assertEquals([...encodeArray(bfloat16, values)], saturated);
  assertEquals(Array.from(values, (v) => bfloat16.encode(v, { saturate: false })), ieee);
  assertEquals(Array.from(values, (v) => bfloat16.encode(v)), saturated);
});

Deno.test("float16 and bfloat16 round doubles once, not through float32", () => {
  // Just above a float16 tie by less than a float32 step: two roundings would fall back to the even neighbor.
  assertEquals(float16.encode(1 + 2 ** -11 + 2 ** -40), 0x3c01);
  assertEquals(encodeArray(float16, [1 + 2 ** -11 + 2 ** -40])[0], 0x3c01);
  assertEquals(bfloat16.encode(1 + 2 ** -8 + 2 ** -40), 0x3f81);
});
