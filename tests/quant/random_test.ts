import { assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import { createRandom } from "@quik/quant/quant";

Deno.test("createRandom() repeats for a seed and differs between seeds", () => {
  const draw = (seed: number) => Array.from({ length: 5 }, createRandom(seed).uniform);
  assertEquals(draw(3), draw(3));
  assertNotEquals(draw(3), draw(4));
});

Deno.test("createRandom() draws the moments of its distributions", () => {
  const random = createRandom(11);
  const count = 200_000;
  let [uniform, mean, square, fourth, signs] = [0, 0, 0, 0, 0];
  for (let i = 0; i < count; i++) {
    uniform += random.uniform() / count;
    const z = random.normal();
    mean += z / count;
    square += z * z / count;
    fourth += z ** 4 / count;
    signs += random.sign() / count;
  }
  assertAlmostEquals(uniform, 0.5, 0.005);
  assertAlmostEquals(mean, 0, 0.01);
  assertAlmostEquals(square, 1, 0.02);
  assertAlmostEquals(fourth, 3, 0.15);
  assertAlmostEquals(signs, 0, 0.01);
});

Deno.test("Random.integer() reaches every value below its limit", () => {
  const random = createRandom(2);
  const seen = new Set(Array.from({ length: 200 }, () => random.integer(7)));
  assertEquals([...seen].sort(), [0, 1, 2, 3, 4, 5, 6]);
});
