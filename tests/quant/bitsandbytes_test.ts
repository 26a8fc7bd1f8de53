// Blocks with double quantization against bitsandbytes; see tests/fixtures/block_formats.json.
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { bnbFloat4, dynamicLevels, nf4, pack, unpack } from "@quik/quant/formats";
import {
  createMatrix,
  dequantizeBlocks,
  type DoubleQuantized,
  type Matrix,
  quantizeBlocks,
} from "@quik/quant/quant";
import { at, bytesAt, floatsAt } from "../formats/_block_fixture.ts";

/** Equality of long arrays without the cost of printing how they differ. */
function assertSame(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  assertEquals(actual.length, expected.length, what);
  const differing = Array.from(actual, (_, i) => i).filter((i) => actual[i] !== expected[i]);
  assertEquals(differing.slice(0, 5), [], `${differing.length} ${what} differ`);
}

/** The inputs that the fixture's generator hashes: `4 u^3`, `u = (i * 2654435761 mod 2^32) / 2^32 - 1/2`. */
function hashedInputs(): Matrix {
  const count: number = at("bitsandbytes", "hashedCount");
  const values = Float32Array.from({ length: count }, (_, i) => {
    const u = (Math.imul(i, 2654435761) >>> 0) / 4294967296 - 0.5;
    return u * u * u * 4;
  });
  return createMatrix(1, count, values);
}

Deno.test("dynamicLevels() is bitsandbytes' dynamic map", () => {
  assertSame(dynamicLevels(), floatsAt("bitsandbytes", "dynamicMap"), "levels");
});

for (const [name, format] of [["nf4", nf4], ["fp4", bnbFloat4]] as const) {
  Deno.test(`quantizeBlocks() stores ${name} as bitsandbytes does, scales twice quantized included`, () => {
    const weight = hashedInputs();
    const plain = quantizeBlocks(weight, { format, doubleQuantization: false });
    assertSame(plain.absmax as Float32Array, floatsAt("bitsandbytes", name, "absmax"), "absmax");
    const codes = unpack(plain.codes, 4, weight.cols);
    // bitsandbytes gives small positive values the second zero of its fp4, code 8; here zero is always code 0.
    const expected = unpack(bytesAt("bitsandbytes", name, "codes"), 4, weight.cols, { order: "bitsandbytes" })
      .map((code) => name === "fp4" && code === 8 ? 0 : code);
    assertSame(codes, expected, "codes");
    if (name === "nf4") {
      assertSame(pack(codes, 4, { order: "bitsandbytes" }), bytesAt("bitsandbytes", name, "codes"), "bytes");
    }

    // Torch's mean of the scales is summed in float32 and differs from ours in the last bits.
    const [offset] = floatsAt("bitsandbytes", name, "offset");
    assertAlmostEquals(
      (quantizeBlocks(weight, { format }).absmax as DoubleQuantized).offset / offset,
      1,
      2 ** -22,
    );
    const nested = quantizeBlocks(weight, { format, doubleQuantization: { offset } });
    const absmax = nested.absmax as DoubleQuantized;
    assertSame(nested.codes, plain.codes, "codes");
    assertSame(absmax.codes, bytesAt("bitsandbytes", name, "absmaxCodes"), "absmax codes");
    assertSame(absmax.scales, floatsAt("bitsandbytes", name, "nestedAbsmax"), "nested scales");
    const restored = dequantizeBlocks(nested).data;
    assertSame(restored.subarray(0, 256), floatsAt("bitsandbytes", name, "restoredHead"), "values");
  });
}
