import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { int4, int8, uint8 } from "@quik/quant/formats";
import {
  chooseQparams,
  columnAbsmaxObserver,
  createMatrix,
  createRandom,
  fakeQuantize,
  gridOf,
  type Matrix,
  minMaxObserver,
  movingAverageObserver,
  mseObserver,
  percentileObserver,
  perTensor,
  qparamsFromRanges,
} from "@quik/quant/quant";

function batch(...values: number[]): Matrix {
  return createMatrix(1, values.length, Float32Array.from(values));
}

function normalBatch(count: number, seed: number): Matrix {
  const random = createRandom(seed);
  return createMatrix(1, count, Float32Array.from({ length: count }, () => random.normal()));
}

Deno.test("minMaxObserver() covers everything seen but NaN", () => {
  const observer = minMaxObserver();
  assertEquals(observer.range(), { min: 0, max: 0 });
  observer.observe(batch(NaN));
  assertEquals(observer.range(), { min: 0, max: 0 });
  observer.observe(batch(1, NaN, 2));
  observer.observe(batch(-3, 1.5));
  assertEquals(observer.range(), { min: -3, max: 2 });
});

Deno.test("movingAverageObserver() starts at the first batch and follows the next ones", () => {
  const observer = movingAverageObserver({ averagingConstant: 0.25 });
  observer.observe(batch(-1, 4));
  observer.observe(batch(-2, 0));
  assertEquals(observer.range(), { min: -1.25, max: 3 });
  assertThrows(() => movingAverageObserver({ averagingConstant: 0 }), RangeError, "constant of 0");
});

Deno.test("percentileObserver() finds quantiles to one bin, however the range grew", () => {
  const observer = percentileObserver(0.99, { bins: 1024 });
  const values = normalBatch(20000, 1).data;
  for (let i = 0; i < 20000; i += 1000) observer.observe(createMatrix(1, 1000, values.slice(i, i + 1000)));
  const sorted = values.slice().sort();
  const { min, max } = observer.range();
  // The range has doubled to at most 8 by then: a bin is at most 16 / 1024 wide.
  assertAlmostEquals(min, sorted[200], 16 / 1024);
  assertAlmostEquals(max, sorted[19800], 16 / 1024);
  const whole = percentileObserver(1);
  whole.observe(batch(-0.3, 0.1, 5));
  assertEquals(whole.range(), { min: Math.fround(-0.3), max: 5 });
  assertThrows(() => percentileObserver(0.2), RangeError, "percentile of 0.2");
  assertThrows(() => percentileObserver(0.9, { bins: 1000 }), RangeError, "power of two");
});

Deno.test("percentileObserver() survives zeros, NaN and infinity", () => {
  const observer = percentileObserver(0.9);
  assertEquals(observer.range(), { min: 0, max: 0 });
  observer.observe(batch(0, 0, NaN, Infinity));
  assertEquals(observer.range(), { min: 0, max: 0 });
  observer.observe(batch(2, -2));
  assert(observer.range().max > 0);
});

Deno.test("mseObserver() chooses nearly as well as a search on the values themselves", () => {
  const matrix = normalBatch(4096, 2);
  const grid = gridOf(perTensor(), matrix);
  const observer = mseObserver({ format: int4, mapping: "sym-restricted" });
  observer.observe(matrix);
  const errorOf = (scaled: Matrix) => matrix.data.reduce((sum, v, i) => sum + (v - scaled.data[i]) ** 2, 0);
  const full = errorOf(
    fakeQuantize(
      matrix,
      chooseQparams(matrix, { format: int4, mapping: "sym-restricted", granularity: perTensor() }),
    ),
  );
  const observed = qparamsFromRanges([observer.range()], { grid, format: int4, mapping: "sym-restricted" });
  const found = errorOf(fakeQuantize(matrix, observed));
  let best = Infinity;
  for (let p = 1; p > 0.2; p -= 0.005) {
    const range = { min: -p * 4, max: p * 4 };
    best = Math.min(
      best,
      errorOf(
        fakeQuantize(matrix, qparamsFromRanges([range], { grid, format: int4, mapping: "sym-restricted" })),
      ),
    );
  }
  assertLess(found, 0.8 * full);
  assertLess(found, 1.01 * best);
  assertEquals(mseObserver({ format: int8 }).range(), { min: 0, max: 0 });
});

Deno.test("columnAbsmaxObserver() keeps the largest magnitude of each column", () => {
  const observer = columnAbsmaxObserver(3);
  observer.observe(createMatrix(2, 3, Float32Array.of(1, -5, 0, -2, 3, NaN)));
  const first = observer.absmax();
  observer.observe(createMatrix(1, 3, Float32Array.of(0, 0, 0.5)));
  assertEquals(first, Float32Array.of(2, 5, 0));
  assertEquals(observer.absmax(), Float32Array.of(2, 5, 0.5));
  assertThrows(() => observer.observe(batch(1)), RangeError, "Cannot observe 1 columns: the observer has 3");
});

Deno.test("qparamsFromRanges() needs one finite range per block", () => {
  const grid = gridOf(perTensor(), { rows: 2, cols: 2 });
  const options = { grid, format: uint8, mapping: "asym" } as const;
  assertEquals(qparamsFromRanges([{ min: 0, max: 255 }], options).scale[0], 1);
  assertThrows(() => qparamsFromRanges([], options), RangeError, "Cannot scale 1 blocks with 0 ranges");
  assertThrows(
    () => qparamsFromRanges([{ min: 0, max: Infinity }], options),
    RangeError,
    "it must be finite",
  );
});
