import { createRandom, integerGrid, kMeansGrid, levelGrid, weightedKMeans1D } from "@quik/quant/quant";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";

/** The least cost over all ways to cut the sorted values into k runs. */
function bruteForce(values: number[], weights: number[], k: number): number {
  const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
  const cost = (start: number, end: number) => {
    const run = order.slice(start, end), weight = run.reduce((sum, i) => sum + weights[i], 0);
    if (weight === 0) return 0;
    const mean = run.reduce((sum, i) => sum + weights[i] * values[i], 0) / weight;
    return run.reduce((sum, i) => sum + weights[i] * (values[i] - mean) ** 2, 0);
  };
  const best = (start: number, runs: number): number => {
    if (runs === 1) return cost(start, values.length);
    let least = Infinity;
    for (let end = start; end <= values.length; end++) {
      least = Math.min(least, cost(start, end) + best(end, runs - 1));
    }
    return least;
  };
  return best(0, k);
}

Deno.test("weightedKMeans1D() finds the least cost there is", () => {
  const random = createRandom(2);
  for (let trial = 0; trial < 40; trial++) {
    const n = 1 + random.integer(12), k = 1 + random.integer(4);
    const values = Array.from({ length: n }, () => Math.round(8 * random.normal()) / 4);
    const weights = Array.from({ length: n }, () => random.integer(4));
    const { cost, centroids, labels } = weightedKMeans1D(values, k, weights);
    const counted = weights.some((w) => w > 0) ? weights : weights.map(() => 1);
    assertAlmostEquals(cost, bruteForce(values, counted, k), 1e-10);
    const own = values.reduce((sum, v, i) => sum + counted[i] * (v - centroids[labels[i]]) ** 2, 0);
    assertAlmostEquals(own, cost, 1e-10);
    for (let c = 1; c < k; c++) assert(centroids[c] >= centroids[c - 1]);
  }
});

Deno.test("weightedKMeans1D() is exact for few distinct values", () => {
  const values = [3, -1, 3, 7, -1, 7, 7];
  const { centroids, labels, cost } = weightedKMeans1D(values, 4);
  assertEquals(cost, 0);
  values.forEach((v, i) => assertEquals(centroids[labels[i]], v));
  assertThrows(() => weightedKMeans1D([], 2), RangeError, "0 values");
  assertThrows(() => weightedKMeans1D([1], 0), RangeError, "0 clusters");
});

Deno.test("kMeansGrid() beats integers on what it weighs", () => {
  const random = createRandom(4);
  const values = Float32Array.from({ length: 256 }, () => random.normal());
  const importance = Float64Array.from({ length: 256 }, () => random.uniform() ** 8);
  const cost = (fitted: ReturnType<typeof levelGrid>) =>
    values.reduce((sum, v, i) => sum + importance[i] * (v - fitted.decode(fitted.encode(v))) ** 2, 0);
  for (const bits of [2, 3, 4]) {
    const integers = integerGrid({ bits, mapping: "asym" }).fit(values);
    assertLess(cost(kMeansGrid({ bits }).fit(values, importance)), 0.6 * cost(integers));
  }
  assertThrows(() => kMeansGrid({ bits: 9 }), RangeError, "9 bits");
});

Deno.test("levelGrid() takes the nearest level, in any order of levels", () => {
  const grid = levelGrid([4, -2, 0, 1]);
  assertEquals([-9, -1.1, -0.9, 0.4, 0.6, 2.4, 2.6, 99].map((v) => grid.decode(grid.encode(v))), [
    -2,
    -2,
    0,
    0,
    1,
    1,
    4,
    4,
  ]);
  assertEquals(grid.encode(4), 0);
});
