import {
  cholesky,
  choleskySolve,
  createMatrix,
  createMatrix64,
  createRandom,
  gptq,
  type GptqResult,
  integerGrid,
  type Matrix,
  multiply64,
  selectOutlierColumns,
  toMatrix64,
  transpose64,
} from "@quik/quant/quant";
import { int4, nf3, nf4, uint4 } from "@quik/quant/formats";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { createLayerFixture, product, relativeError } from "./_fixture.ts";

const grid = integerGrid({ bits: 3 });
const { layer: { weight }, calibration: { hessian, absmax }, inputs } = createLayerFixture({ outliers: 2 });
const outliers = selectOutlierColumns(absmax, { count: 5 });

function nearest(source: Matrix, groups = 1): Matrix {
  const size = source.cols / groups, result = createMatrix(source.rows, source.cols);
  for (let start = 0; start < source.data.length; start += size) {
    const values = source.data.slice(start, start + size), fitted = grid.fit(values);
    values.forEach((w, i) => result.data[start + i] = fitted.decode(fitted.encode(w)));
  }
  return result;
}

/** `tr(D (H + damping I) D^T) / 2` with D the change of the weights, in float64. */
function outputLoss(changed: Matrix, { damping }: GptqResult): number {
  let sum = 0;
  for (let r = 0; r < weight.rows; r++) {
    const change = weight.data.slice(r * weight.cols, (r + 1) * weight.cols)
      .map((w, c) => w - changed.data[r * weight.cols + c]);
    for (let i = 0; i < weight.cols; i++) {
      for (let j = 0; j < weight.cols; j++) {
        const h = hessian.data[i * weight.cols + j] + (i === j ? damping : 0);
        sum += change[i] * h * change[j] / 2;
      }
    }
  }
  return sum;
}

const total = (result: GptqResult) => result.loss.reduce((sum, loss) => sum + loss, 0);

Deno.test("gptq() knows its loss to 1e-9, in every variant", () => {
  const variants = [
    {},
    { outliers },
    { actOrder: true },
    { groupSize: 16 },
    { groupSize: 16, staticGroups: true, actOrder: true, outliers },
    { sparsity: { zeros: 2, of: 4 } },
    { sparsity: { ratio: 0.5 }, blockSize: 32, outliers },
  ];
  for (const variant of variants) {
    const result = gptq(weight, { hessian, grid, ...variant });
    assertAlmostEquals(total(result) / outputLoss(result.weight, result), 1, 1e-9, JSON.stringify(variant));
  }
});

Deno.test("gptq() does not depend on the block size", () => {
  for (
    const variant of [{ outliers }, { groupSize: 16 }, { groupSize: 24 }, { sparsity: { zeros: 2, of: 4 } }]
  ) {
    const whole = gptq(weight, { hessian, grid, ...variant, blockSize: 1000 });
    for (const blockSize of [1, 8, 20, 32]) {
      const blocks = gptq(weight, { hessian, grid, ...variant, blockSize });
      assertEquals(blocks.codes, whole.codes);
      assertAlmostEquals(total(blocks) / total(whole), 1, 1e-9);
    }
  }
});

Deno.test("gptq() does not depend on the scale of the Hessian", () => {
  const scaled = createMatrix(hessian.rows, hessian.cols, hessian.data.map((h) => h * 1024));
  const plain = gptq(weight, { hessian, grid, outliers });
  assertEquals(gptq(weight, { hessian: scaled, grid, outliers }).weight, plain.weight);
});

Deno.test("gptq() leaves the outlier columns at the optimum for the codes", () => {
  const { weight: result, damping } = gptq(weight, { hessian, grid, outliers });
  const isOutlier = new Set(outliers), n = weight.cols, count = outliers.length;
  const damped = toMatrix64(hessian);
  for (let i = 0; i < n; i++) damped.data[i * n + i] += damping;
  const pick = (rows: ArrayLike<number>, cols: ArrayLike<number>) =>
    createMatrix64(
      rows.length,
      cols.length,
      Float64Array.from({ length: rows.length * cols.length }, (_, i) =>
        damped.data[rows[Math.floor(i / cols.length)] * n + cols[i % cols.length]]),
    );
  const base = Array.from({ length: n }, (_, c) => c).filter((c) => !isOutlier.has(c));
  const solved = choleskySolve(cholesky(pick(outliers, outliers)), pick(outliers, base));
  const change = createMatrix64(weight.rows, base.length);
  for (let r = 0; r < weight.rows; r++) {
    base.forEach((c, b) =>
      change.data[r * base.length + b] = weight.data[r * n + c] - result.data[r * n + c]
    );
  }
  const shift = multiply64(change, transpose64(solved));
  for (let r = 0; r < weight.rows; r++) {
    for (let f = 0; f < count; f++) {
      const at = r * n + outliers[f];
      assertAlmostEquals(result.data[at], weight.data[at] + shift.data[r * count + f], 1e-7);
    }
  }
});

Deno.test("gptq() with a diagonal Hessian is plain rounding with untouched outliers", () => {
  const random = createRandom(3);
  const diagonal = createMatrix(weight.cols, weight.cols);
  for (let i = 0; i < weight.cols; i++) diagonal.data[i * weight.cols + i] = 0.1 + random.uniform();
  assertEquals(gptq(weight, { hessian: diagonal, grid }).weight, nearest(weight));
  assertEquals(gptq(weight, { hessian: diagonal, grid, groupSize: 16 }).weight, nearest(weight, 4));
  assertEquals(
    gptq(weight, { hessian: diagonal, grid, groupSize: 16, actOrder: true, staticGroups: true }).weight,
    nearest(weight, 4),
  );
  const { weight: kept } = gptq(weight, { hessian: diagonal, grid, outliers });
  for (let r = 0; r < weight.rows; r++) {
    for (const c of outliers) assertEquals(kept.data[r * weight.cols + c], weight.data[r * weight.cols + c]);
  }
});

Deno.test("gptq() leaves weights that lie on the grid", () => {
  const frozen = { ...grid, fit: () => grid.fit(Float32Array.of(1)) };
  const onGrid = gptq(weight, { hessian, grid: frozen }).weight;
  assertEquals(gptq(onGrid, { hessian, grid: frozen }).weight, onGrid);
});

Deno.test("gptq() decodes to the weights it returns", () => {
  for (
    const variant of [{}, { groupSize: 16 }, { groupSize: 24, actOrder: true }, { groupSize: 16, outliers }]
  ) {
    const result = gptq(weight, { hessian, grid, ...variant });
    const skip = new Set("outliers" in variant ? outliers : []);
    for (let r = 0; r < weight.rows; r++) {
      for (let c = 0; c < weight.cols; c++) {
        if (skip.has(c)) continue;
        const fitted = result.grids[r * result.groups + result.gIdx[c]];
        assertEquals(
          fitted.decode(result.codes[r * weight.cols + c]),
          result.weight.data[r * weight.cols + c],
        );
        assertEquals(result.scales[r * result.groups + result.gIdx[c]], fitted.scale);
      }
    }
  }
});

Deno.test("gptq() beats plain rounding on the layer's output", () => {
  const output = product(inputs, weight);
  const plain = relativeError(output, product(inputs, nearest(weight)));
  const compensated = relativeError(output, product(inputs, gptq(weight, { hessian, grid }).weight));
  const ordered = relativeError(
    output,
    product(inputs, gptq(weight, { hessian, grid, actOrder: true }).weight),
  );
  const kept = relativeError(output, product(inputs, gptq(weight, { hessian, grid, outliers }).weight));
  assertLess(compensated, 0.95 * plain);
  assertLess(ordered, compensated);
  assertLess(kept, 0.5 * compensated);
});

Deno.test("gptq() can fall back to plain rounding, row by row", () => {
  for (const variant of [{}, { outliers }, { groupSize: 16 }]) {
    const plain = gptq(weight, { hessian, grid, ...variant });
    const safe = gptq(weight, { hessian, grid, ...variant, safeguard: true });
    safe.loss.forEach((loss, r) => assert(loss <= plain.loss[r]));
    assertAlmostEquals(total(safe) / outputLoss(safe.weight, safe), 1, 1e-9);
  }
  // Anticorrelated inputs on which greedy compensation loses to rounding.
  let fallbacks = 0;
  for (let seed = 1; seed <= 5; seed++) {
    const small = createLayerFixture({ inputs: 8, outputs: 64, seed });
    const options = { hessian: small.calibration.hessian, grid };
    const plain = gptq(small.layer.weight, options),
      safe = gptq(small.layer.weight, { ...options, safeguard: true });
    fallbacks += safe.loss.filter((loss, r) => loss < plain.loss[r]).length;
  }
  assert(fallbacks > 0);
});

Deno.test("gptq() zeroes columns that were never active", () => {
  const quiet = createMatrix(hessian.rows, hessian.cols, hessian.data.slice());
  for (let i = 0; i < quiet.cols; i++) quiet.data[3 * quiet.cols + i] = quiet.data[i * quiet.cols + 3] = 0;
  const { weight: result } = gptq(weight, { hessian: quiet, grid });
  for (let r = 0; r < weight.rows; r++) assertEquals(result.data[r * weight.cols + 3], 0);
});

Deno.test("gptq() takes a number format in place of a grid", () => {
  for (const clip of [false, true]) {
    const byGrid = gptq(weight, { hessian, grid: integerGrid({ bits: 4, clip, scaleBits: 32 }), outliers });
    const byFormat = gptq(weight, { hessian, format: int4, clip, outliers });
    assertEquals(byFormat.scales, byGrid.scales);
    assertEquals(byFormat.weight, byGrid.weight);
    const asymmetric = integerGrid({ bits: 4, mapping: "asym", clip, scaleBits: 32 });
    const unsigned = gptq(weight, { hessian, format: uint4, clip, groupSize: 16 });
    assertEquals(unsigned.weight, gptq(weight, { hessian, grid: asymmetric, groupSize: 16 }).weight);
  }
  const normal = gptq(weight, { hessian, format: nf4, groupSize: 32 });
  assertLess(total(normal), total(gptq(weight, { hessian, format: nf3, groupSize: 32 })));
});

Deno.test("gptq() rejects what it cannot do", () => {
  assertThrows(() => gptq(weight, { hessian }), TypeError, "a grid or a format");
  assertThrows(() => gptq(weight, { hessian, grid, format: int4 }), TypeError, "a grid or a format");
  assertThrows(() => gptq(weight, { hessian, grid, clip: true }), TypeError, "go with a format");
  assertThrows(() => gptq(weight, { hessian: createMatrix(2, 2), grid }), RangeError, "it must be [64, 64]");
  assertThrows(() => gptq(weight, { hessian, grid, order: Uint32Array.of(0) }), RangeError, "permutation");
  assertThrows(
    () => gptq(weight, { hessian, grid, order: absmax as unknown as Uint32Array, actOrder: true }),
    TypeError,
  );
  assertThrows(
    () => gptq(weight, { hessian, grid, sparsity: { zeros: 4, of: 4 } }),
    RangeError,
    "4 of every 4",
  );
  assertThrows(() => gptq(weight, { hessian, grid, outliers: Uint32Array.of(64) }), RangeError, "in range");
  const nan = createMatrix(hessian.rows, hessian.cols, hessian.data.map((h, i) => i === 1 ? NaN : h));
  assertThrows(() => gptq(weight, { hessian: nan, grid }), RangeError, "NaN");
  const infinite = createMatrix(weight.rows, weight.cols, weight.data.map((w, i) => i === 1 ? Infinity : w));
  assertThrows(() => gptq(infinite, { hessian, grid }), RangeError, "infinite");
});
