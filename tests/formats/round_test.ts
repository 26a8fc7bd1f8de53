import { assertEquals } from "@std/assert";
import { roundHalfAway, roundHalfEven } from "@quik/quant/formats";

Deno.test("roundHalfEven() takes ties to the even integer, as torch.round", () => {
  const table: [number, number][] = [
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [3.5, 4],
    [-0.5, -0],
    [-1.5, -2],
    [-2.5, -2],
    [-3.5, -4],
    [0.49999999999999994, 0],
    [-0.2, -0],
    [7.4999, 7],
    [4503599627370495.5, 4503599627370496],
    [9007199254740993, 9007199254740993],
    [Infinity, Infinity],
    [-Infinity, -Infinity],
    [NaN, NaN],
    [-0, -0],
  ];
  for (const [value, expected] of table) assertEquals(roundHalfEven(value), expected, `${value}`);
});

Deno.test("roundHalfAway() takes ties away from zero, as C's roundf", () => {
  assertEquals([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, -2.4].map(roundHalfAway), [1, 2, 3, -1, -2, -3, -2]);
});
