// GGUF block formats against the gguf package and llama.cpp's own library; see tests/fixtures/block_formats.json.
import { assertEquals, assertThrows } from "@std/assert";
import { type BlockFormat, iq4_nl, q4_0, q4_1, q4_K, q5_0, q5_1, q6_K, q8_0 } from "@quik/quant/formats";
import { bytesAt, floatsAt } from "./_block_fixture.ts";

const formats: Record<string, BlockFormat> = {
  Q4_0: q4_0,
  Q4_1: q4_1,
  Q5_0: q5_0,
  Q5_1: q5_1,
  Q8_0: q8_0,
  Q4_K: q4_K,
  Q6_K: q6_K,
  IQ4_NL: iq4_nl,
};

for (const [name, format] of Object.entries(formats)) {
  Deno.test(`${format.name} writes the reference's bytes and reads its values`, () => {
    const values = floatsAt("values");
    const expected = bytesAt("gguf", name, "bytes");
    const before = values.slice();
    const bytes = format.quantize(values);
    assertEquals(values, before);
    for (let block = 0; block < values.length / format.blockSize; block++) {
      const start = block * format.bytesPerBlock;
      assertEquals(
        bytes.subarray(start, start + format.bytesPerBlock),
        expected.subarray(start, start + format.bytesPerBlock),
        `block ${block}`,
      );
    }
    assertEquals(format.dequantize(expected, values.length), floatsAt("gguf", name, "values"));
  });
}

Deno.test("GGUF formats throw on partial blocks and wrong byte counts", () => {
  assertThrows(
    () => q4_0.quantize(new Float32Array(33)),
    RangeError,
    "Cannot quantize 33 values as q4_0: the count must be a multiple of 32",
  );
  assertThrows(() => q4_K.quantize(new Float32Array(128)), RangeError, "multiple of 256");
  assertThrows(() => q8_0.dequantize(new Uint8Array(33), 32), RangeError, "they take 34");
});
