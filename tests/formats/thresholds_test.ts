import { assertEquals, assertThrows } from "@std/assert";
import {
  codeThresholds,
  float16,
  float4E2M1,
  float8E4M3,
  float8E5M2,
  int2,
  int3,
  int4,
  int8,
  nf4,
  uint4,
} from "../../formats/mod.ts";
import { createRandom } from "../../quant/mod.ts";

const random = createRandom(5);
for (const format of [int2, int3, int4, int8, uint4, float4E2M1, float8E4M3, float8E5M2, nf4]) {
  Deno.test(`codeThresholds() rounds as ${format.name} does`, () => {
    const { thresholds, codes } = codeThresholds(format);
    const used = thresholds.filter(Number.isFinite);
    const around = Array.from(used, (edge) => [edge, edge * (1 - 1e-7), edge * (1 + 1e-7)]).flat();
    const spread = Array.from({ length: 2000 }, () => random.normal() * format.max);
    for (const value of Float32Array.from([...around, ...spread, 3e38, -3e38, 0])) {
      let count = 0;
      while (count < thresholds.length && thresholds[count] <= value) count++;
      assertEquals(codes[count], format.encode(value), `${format.name} of ${value}`);
    }
  });
}

Deno.test("codeThresholds() refuses formats of more than 8 bits", () => {
  assertThrows(() => codeThresholds(float16), RangeError, "Cannot list the thresholds of float16");
});
