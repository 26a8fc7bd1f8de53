// How products on subgroup matrices divide a result among passes, and k among workgroups: everything once.
import { assert, assertEquals, assertGreater } from "@std/assert";
import fc from "fast-check";
import { dividedPortions, type Portion, tailPortions } from "../../kernels/webgpu/_matrix_split.ts";
import { type MatrixShape, matrixTile } from "../../kernels/webgpu/_matrix_tile.ts";

const shapes = fc.record({
  matrices: fc.constantFrom([2, 2] as const, [4, 4] as const, [4, 2] as const),
  subgroups: fc.constantFrom([1, 4] as const, [2, 2] as const, [4, 2] as const),
  ahead: fc.boolean(),
  inFlight: fc.constantFrom(1, 2),
  ordered: fc.boolean(),
});
const results = fc.record({
  rows: fc.integer({ min: 1, max: 3000 }),
  columns: fc.integer({ min: 1, max: 12000 }),
});
const blocks = fc.integer({ min: 1, max: 300 });

/** Every block of k belongs to one part, and no part is empty. */
function assertWhole({ split }: Portion, blocks: number): void {
  if (split === undefined) return;
  assertGreater(split.parts, 1);
  assert((split.parts - 1) * split.partBlocks < blocks, "no part is empty");
  assert(split.parts * split.partBlocks >= blocks, "no block is left out");
}

Deno.test("dividing all tiles covers k once", () => {
  let divided = 0;
  fc.assert(
    fc.property(shapes, results, blocks, (shape: MatrixShape, result, blocks) => {
      const portions = dividedPortions(shape, result, blocks);
      if (portions === undefined) return;
      divided++;
      assertEquals(portions.length, 1);
      assertWhole(portions[0], blocks);
    }),
    { numRuns: 2000 },
  );
  assertGreater(divided, 10);
});

Deno.test("dividing the last tiles covers all columns and k once, in one turn", () => {
  let divided = 0;
  const processors = fc.integer({ min: 2, max: 200 });
  fc.assert(
    fc.property(shapes, results, blocks, processors, (shape: MatrixShape, result, blocks, processors) => {
      const portions = tailPortions(shape, result, blocks, processors);
      if (portions === undefined) return;
      divided++;
      const [{ range: first }, last] = portions;
      assert(first !== undefined && last.range !== undefined && last.split !== undefined);
      assertEquals([first.from, first.to, last.range.to], [0, last.range.from, result.columns]);
      const tile = matrixTile(shape);
      assertEquals(first.to % tile.columns, 0);
      assert(last.range.to - last.range.from >= tile.columns, "a whole tile fits");
      assertWhole(last, blocks);
      const down = Math.ceil(result.rows / tile.rows);
      const tiles = down * Math.ceil((last.range.to - last.range.from) / tile.columns);
      assert(tiles * last.split.parts <= processors, "one turn");
    }),
    { numRuns: 2000 },
  );
  assertGreater(divided, 50);
});

Deno.test("11008 outputs of 2048 tokens leave 32 tiles of 256 x 128 over on 132 processors", () => {
  const shape = { matrices: [4, 4], subgroups: [4, 2], ahead: true, inFlight: 2, ordered: true } as const;
  assertEquals(tailPortions(shape, { rows: 2048, columns: 11008 }, 128), [
    { range: { from: 0, to: 10496 } },
    { range: { from: 10496, to: 11008 }, split: { parts: 4, partBlocks: 32 } },
  ]);
  assertEquals(tailPortions(shape, { rows: 2048, columns: 4096 }, 128), undefined);
});
