import { createPower } from "../../quant/_power.ts";
import { createRandom } from "../../quant/mod.ts";
import { assertEquals, assertLess } from "@std/assert";

Deno.test("createPower() agrees with Math.pow to 1e-7 over the whole range of float32", () => {
  const random = createRandom(3);
  for (const exponent of [0.7, 1, 2, 2.4, 3.5]) {
    const power = createPower(exponent);
    for (let i = 0; i < 20_000; i++) {
      const x = Math.fround((1 + random.uniform()) * 2 ** (random.integer(60) - 40));
      assertLess(Math.abs(power(x) / x ** exponent - 1), 1e-7, `${x} ** ${exponent}`);
    }
    assertEquals(power(0), 0);
    assertEquals(power(1), 1);
  }
});
