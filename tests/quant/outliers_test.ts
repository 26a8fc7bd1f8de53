import { ascendingOrder, baseColumns, selectOutlierColumns, widenedOutlierCount } from "@quik/quant/quant";
import { assertEquals, assertThrows } from "@std/assert";

const absmax = Float32Array.of(4, 1, 7, 7, 2, 0);

Deno.test("selectOutlierColumns() takes the largest columns, the later of equals", () => {
  assertEquals(selectOutlierColumns(absmax, { count: 0 }), new Uint32Array(0));
  assertEquals(selectOutlierColumns(absmax, { count: 1 }), Uint32Array.of(3));
  assertEquals(selectOutlierColumns(absmax, { count: 3 }), Uint32Array.of(0, 2, 3));
  assertEquals(selectOutlierColumns(absmax, { count: 99 }), Uint32Array.of(0, 1, 2, 3, 4, 5));
  assertEquals(ascendingOrder(absmax), Uint32Array.of(5, 1, 4, 0, 2, 3));
});

Deno.test("selectOutlierColumns() keeps none below the threshold, twice that for 8 bits", () => {
  assertEquals(selectOutlierColumns(absmax, { count: 2, threshold: 6.9 }).length, 2);
  assertEquals(selectOutlierColumns(absmax, { count: 2, threshold: 7 }).length, 0);
  assertEquals(selectOutlierColumns(absmax, { count: 2, threshold: 3.5, bits: 8 }).length, 0);
  assertEquals(selectOutlierColumns(absmax, { count: 2, threshold: 3.4, bits: 8 }).length, 2);
  assertEquals(selectOutlierColumns(new Float32Array(4), { count: 2 }).length, 0);
});

Deno.test("selectOutlierColumns() leaves a number of base columns that can be packed", () => {
  assertEquals(selectOutlierColumns(absmax, { count: 1, baseMultiple: 2 }), Uint32Array.of(2, 3));
  assertEquals(selectOutlierColumns(absmax, { count: 1, baseMultiple: 4 }), Uint32Array.of(2, 3));
  assertEquals(
    selectOutlierColumns(Float32Array.of(1, 2, 3), { count: 0, baseMultiple: 2 }),
    Uint32Array.of(2),
  );
});

Deno.test("selectOutlierColumns() rejects bad input", () => {
  assertThrows(() => selectOutlierColumns(absmax, { count: -1 }), RangeError, "-1 outlier columns");
  assertThrows(
    () => selectOutlierColumns(Float32Array.of(1, NaN), { count: 1 }),
    RangeError,
    "column 1 is NaN",
  );
  assertThrows(() => selectOutlierColumns(Float32Array.of(-1), { count: 1 }), RangeError, "column 0");
  assertThrows(() => selectOutlierColumns(absmax, { count: 1, baseMultiple: 0 }), RangeError, "positive");
});

Deno.test("widenedOutlierCount() scales with the width, never below the count", () => {
  const widths: [inputs: number, hidden: number][] = [[11008, 4096], [13824, 5120], [28672, 8192], [
    768,
    256,
  ]];
  assertEquals(
    widths.map(([inputs, hidden]) => widenedOutlierCount(256, { inputs, hidden })),
    [512, 512, 768, 768],
  );
  assertEquals(widenedOutlierCount(16, { inputs: 64, hidden: 256 }), 16);
});

Deno.test("baseColumns() is what the outliers leave", () => {
  assertEquals(baseColumns(4, Uint32Array.of(0, 2)), Uint32Array.of(1, 3));
  assertEquals(baseColumns(2, new Uint32Array(0)), Uint32Array.of(0, 1));
  assertThrows(() => baseColumns(4, Uint32Array.of(2, 2)), RangeError, "ascend");
  assertThrows(() => baseColumns(2, Uint32Array.of(2)), RangeError, "in range");
});
