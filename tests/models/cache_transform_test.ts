// The hook through which keys and values pass before attention sees them.
import { createReferenceBackend } from "../../kernels/mod.ts";
import { type CacheTransform, headwiseCache, loadModel, quantizedCache } from "../../models/mod.ts";
import { createMatrix, type Matrix } from "../../quant/mod.ts";
import { assert, assertEquals, assertLess } from "@std/assert";
import { GOLDEN, maxDifference } from "./_fixtures.ts";

const ids = Uint32Array.from({ length: 40 }, (_, i) => (i * 7 + 3) % 160);

Deno.test("a model shows keys and values of every layer to its cache transform", async () => {
  using backend = createReferenceBackend();
  using model = await loadModel(`${GOLDEN}/llama-gqa`, { backend });
  const { layers, kvHeads, headSize } = model.config;
  const before = await model.forward(ids);
  const seen: number[][] = [];
  const see = (x: Matrix): Matrix => (seen.push([x.rows, x.cols]), x);
  model.cacheTransform = { keys: see, values: see };
  assertEquals(await model.forward(ids), before);
  assertEquals(seen, Array.from({ length: 2 * layers }, () => [ids.length, kvHeads * headSize]));
  const zero = (x: Matrix): Matrix => ({ ...x, data: new Float32Array(x.data.length) });
  model.cacheTransform = { keys: see, values: zero };
  assert(maxDifference(await model.forward(ids), before) > 1e-3);
  model.cacheTransform = undefined;
  assertEquals(await model.forward(ids), before);
});

for (const name of ["llama-gqa", "gpt2"]) {
  Deno.test(`a quantized cache errs less with more bits: ${name}`, async () => {
    using backend = createReferenceBackend();
    using model = await loadModel(`${GOLDEN}/${name}`, { backend });
    const exact = await model.forward(ids);
    const error = async (transform: CacheTransform): Promise<number> => {
      model.cacheTransform = transform;
      const logits = await model.forward(ids);
      return Math.hypot(...logits.map((value, i) => value - exact[i])) / Math.hypot(...exact);
    };
    const [two, four, eight] = [
      await error(quantizedCache({ bits: 2 })),
      await error(quantizedCache({ bits: 4 })),
      await error(quantizedCache({ bits: 8 })),
    ];
    assertLess(4 * eight, four);
    assertLess(2 * four, two);
    assertEquals(await error(quantizedCache({ bits: 2, residual: ids.length + 1 })), 0);
  });
}

Deno.test("headwiseCache() gives each head of each token its own range", () => {
  const { keys, values } = headwiseCache({ bits: 2 });
  const x = createMatrix(1, 8, Float32Array.of(0, 0.9, 2.2, 3, 0, 90, 220, 300));
  for (const transform of [keys, values]) {
    assertEquals(transform(x, 4).data, Float32Array.of(0, 1, 2, 3, 0, 100, 200, 300));
  }
});
