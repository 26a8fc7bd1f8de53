// NVFP4 against torchao, GGUF's float4 formats against llama.cpp; see tests/fixtures/block_formats.json.
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type BlockFormat,
  dequantizeNvfp4,
  float8E4M3,
  ggmlMxfp4,
  ggmlNvfp4,
  nvfp4,
  pack,
  quantizeNvfp4,
} from "@quik/quant/formats";
import { at, bytesAt, floatsAt } from "./_block_fixture.ts";

Deno.test("quantizeNvfp4() gives torchao's scales and codes, with and without the tensor scale", () => {
  const values = floatsAt("values");
  for (const name of ["two-level", "one-level"]) {
    const isOneLevel = at("nvfp4", name, "tensorScale") === null;
    const blocks = quantizeNvfp4(values, { tensorScale: isOneLevel ? 1 : undefined });
    if (!isOneLevel) assertEquals(blocks.tensorScale, floatsAt("nvfp4", name, "tensorScale")[0]);
    assertEquals(blocks.scales, bytesAt("nvfp4", name, "scales"), name);
    assertEquals(pack(blocks.codes, 4), bytesAt("nvfp4", name, "codes"), name);
  }
});

Deno.test("nvfp4 stores the tensor scale, then 9 bytes per 16 values", () => {
  const values = floatsAt("values").subarray(0, 512);
  const bytes = nvfp4.quantize(values);
  assertEquals([bytes.length, nvfp4.headerBytes], [4 + 32 * 9, 4]);
  assertEquals(nvfp4.dequantize(bytes, 512), dequantizeNvfp4(quantizeNvfp4(values)));
  // The block of the largest magnitude has the scale 448 exactly.
  const { scales } = quantizeNvfp4(values);
  assertEquals(Math.max(...Array.from(scales, (code) => float8E4M3.decode(code))), 448);
});

Deno.test("scaling by a power of two scales NVFP4 exactly; the error stays within a step", () => {
  const values = floatsAt("values").subarray(0, 768);
  const blocks = quantizeNvfp4(values);
  const moved = quantizeNvfp4(values.map((value) => value * 8));
  assertEquals([moved.scales, moved.codes, moved.tensorScale], [
    blocks.scales,
    blocks.codes,
    blocks.tensorScale * 8,
  ]);
  const back = dequantizeNvfp4(blocks);
  values.forEach((value, i) => {
    const scale = float8E4M3.decode(blocks.scales[i >> 4]) * blocks.tensorScale;
    assert(Math.abs(back[i] - value) <= scale * (1 + 1e-6));
  });
});

Deno.test("16x16 tiles quantize a matrix and its transpose alike", () => {
  const rows = 32;
  const columns = 48;
  const values = floatsAt("values").slice(0, rows * columns);
  const transposed = values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]);
  const options = { columns, tileRows: 16 } as const;
  const direct = dequantizeNvfp4(quantizeNvfp4(values, options), options);
  const turned = { columns: rows, tileRows: 16 } as const;
  const other = dequantizeNvfp4(quantizeNvfp4(transposed, turned), turned);
  assertEquals(quantizeNvfp4(values, options).scales.length, 6);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) assertEquals(direct[r * columns + c], other[c * rows + r]);
  }
});

Deno.test("NVFP4 takes zeros to zeros and refuses rows and tiles that do not fit", () => {
  assertEquals(nvfp4.dequantize(nvfp4.quantize(new Float32Array(32)), 32), new Float32Array(32));
  assertEquals(nvfp4.quantize(new Float32Array(0)).length, 4);
  assertThrows(() => nvfp4.quantize(new Float32Array(17)), RangeError, "multiple of 16");
  assertThrows(() => quantizeNvfp4(new Float32Array(64), { columns: 8 }), RangeError, "in rows of 8");
  assertThrows(
    () => quantizeNvfp4(new Float32Array(64), { columns: 32, tileRows: 16 }),
    RangeError,
    "16 by 16",
  );
  assertThrows(
    () => dequantizeNvfp4({ scales: new Uint8Array(1), codes: new Uint8Array(32), tensorScale: 1 }),
    RangeError,
    "with 1 scales: they have 2",
  );
});

for (const [name, format] of [["MXFP4", ggmlMxfp4], ["NVFP4", ggmlNvfp4]] as [string, BlockFormat][]) {
  Deno.test(`${format.name} writes llama.cpp's bytes and reads its values`, () => {
    const values = floatsAt("values");
    const expected = bytesAt("gguf", name, "bytes");
    assertEquals(format.quantize(values), expected);
    assertEquals(format.dequantize(expected, values.length), floatsAt("gguf", name, "values"));
  });
}
