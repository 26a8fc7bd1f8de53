// The page that `quik compare --out` writes: labels that do not lie on each other, and markup that holds what it is given.
import { placeLabels } from "../cli/report/place_labels.ts";
import { reportPage } from "../cli/report/page.ts";
import type { Comparison } from "../cli/report/comparison.ts";
import type { ComparisonRow } from "../models/mod.ts";
import { calibrate, createMatrix, createRandom, type Matrix } from "../quant/mod.ts";
import { assert, assertEquals, assertGreater, assertStringIncludes } from "@std/assert";

Deno.test("placeLabels() keeps labels inside, apart, and off the points", () => {
  const random = createRandom(2);
  const area = { width: 500, height: 400, fontSize: 10 };
  const points = Array.from({ length: 60 }, (_, i) => ({
    text: `method-${i}`,
    x: random.uniform() * area.width,
    y: random.uniform() * area.height,
  }));
  const placed = placeLabels(points, area);
  assertGreater(placed.length, 50);
  const boxes = placed.map(({ text, x, y }) => ({ x, y, width: text.length * 5.5, height: 10 }));
  for (const [i, a] of boxes.entries()) {
    assert(a.x >= 0 && a.x + a.width <= area.width && a.y >= 5 && a.y <= area.height - 5);
    for (const b of boxes.slice(0, i)) {
      const apart = a.x + a.width < b.x || b.x + b.width < a.x || Math.abs(a.y - b.y) >= a.height;
      assert(apart, "two labels overlap");
    }
    for (const { x, y } of points) {
      const covered = x > a.x && x < a.x + a.width && Math.abs(y - a.y) < a.height / 2;
      assert(!covered, "a label covers a point");
    }
  }
});

Deno.test("placeLabels() leaves out labels that find no place", () => {
  const same = Array.from({ length: 40 }, () => ({ text: "everyone", x: 50, y: 20 }));
  const placed = placeLabels(same, { width: 100, height: 40, fontSize: 10 });
  assert(placed.length > 0 && placed.length < 5);
});

const random = createRandom(4);
const normal = (rows: number, cols: number): Matrix =>
  createMatrix(rows, cols, Float32Array.from({ length: rows * cols }, () => random.normal()));

/** A comparison on layers of a width. */
function comparisonOf(names: readonly string[], methods: readonly string[]): Comparison {
  const calibration = calibrate(normal(8, 640));
  const rows = methods.map((method, i): ComparisonRow => ({
    method,
    weightBits: 4,
    activationBits: i % 2 === 0 ? 16 : 4,
    cacheBits: 16,
    bitsPerWeight: 4 + i / 10,
    perplexity: 30 + i,
    divergence: 0.1,
    outputError: 0.1,
    worstOutputError: 0.2,
    layerErrors: names.map((layer) => ({ layer, error: 0.1 + i / 10 })),
    quantizeSeconds: 1,
    seconds: 2,
  }));
  return {
    settings: {
      model: "/some/where/a<b>",
      amplified: true,
      window: 512,
      windows: 3,
      calibrationWindows: 4,
      backend: "wasm",
      jobs: 2,
      seconds: 200,
    },
    floatPerplexity: 29,
    rows: [...rows, { method: "hopeless", error: `no <grid> & "reason"`, seconds: 1 }],
    layers: names.map((name) => ({ name, weight: normal(2, 640), calibration })),
  };
}

Deno.test("reportPage() draws models with few layers and with many, and escapes what it is given", async () => {
  const few = ["h.0.mlp.c_fc", "h.1.mlp.c_fc"];
  const many = Array.from({ length: 160 }, (_, i) => `model.layers.${i >> 2}.mlp.part${i % 4}_proj`);
  for (const names of [few, many]) {
    const page = await reportPage(comparisonOf(names, ["plain", "<script>x</script>", "kivi"]));
    assertEquals(page.match(/<svg /g)?.length, 4);
    assert(!page.includes("<script>x"));
    assertStringIncludes(page, "&lt;script&gt;x");
    assertStringIncludes(page, "no &lt;grid&gt; &amp; &quot;reason&quot;");
    assertStringIncludes(page, "4 ways to quantize a&lt;b&gt;");
    assertStringIncludes(page, "times 30");
    assert(!/NaN|undefined/.test(page.replace(/<script>[\s\S]*<\/script>/, "")), "a number is missing");
  }
});

Deno.test("reportPage() has no picture of what nobody measured", async () => {
  const page = await reportPage(comparisonOf(["h.0.mlp.c_fc"], []));
  assertEquals(page.match(/<svg /g)?.length, 2); // Inputs and weights of the float model.
  assertStringIncludes(page, "hopeless");
});
