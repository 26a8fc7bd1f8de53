// The upper factor of an inverse Hessian, by one blocked elimination that turns a matrix A = L L^T into the inverse of L
// in place. With rows and columns in reverse order, that inverse is the factor (as in quant/cholesky.ts).
//
// One step, for a pivot row k of a symmetric remainder: with d = 1 / sqrt(a[k, k]), row k becomes s = d * a[k, .], its own
// place d; every later row i loses s[i] * s, its place k counting as 0. Left of the pivot grows the inverse, right of it
// the remainder is what Cholesky leaves. The same step holds for blocks, with the inverse of the pivot block's factor
// for d: first that block alone in workgroup memory, then its block row, then all later rows as one tiled product.
import type { InverseFactorSpec } from "../quantization_specs.ts";
import { multiplyFloat, type Operand, tiledShader, type TileShape, tileWorkgroups } from "./_tile.ts";
import { TILE_SHAPES, tileFits, tileSuits } from "./_tile_variants.ts";
import {
  type ComputePass,
  definePass,
  input,
  type KernelProgram,
  type KernelVariant,
  output,
  scratch,
} from "./program.ts";

/** Rows and columns of a pivot block: 16 KiB, the workgroup memory that every device has. */
const BLOCK = 64;

/** Workgroups of 16 x 16 invocations over a square matrix. */
function squareWorkgroups(size: number): [number, number, number] {
  return [Math.ceil(size / 16), Math.ceil(size / 16), 1];
}

const SQUARE_MAIN = `
@compute @workgroup_size(16, 16)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = id.y;
  let column = id.x;`;

/** The Hessian in reverse order, damped, and padded with an identity to whole blocks. */
function loadPass(size: number, padded: number): ComputePass {
  return definePass({
    bindings: [
      input(0, "hessian", "array<f32>"),
      input(1, "order", "array<u32>"),
      input(2, "damping", "array<f32>"),
      scratch(0, "a", "array<f32>", "write"),
    ],
    uniforms: { size, padded },
    workgroups: squareWorkgroups(padded),
    body: `
${SQUARE_MAIN}
  if (row >= uniforms.padded || column >= uniforms.padded) { return; }
  var value = select(0.0, 1.0, row == column);
  if (row < uniforms.size && column < uniforms.size) {
    let last = uniforms.size - 1u;
    value = hessian[order[last - row] * uniforms.size + order[last - column]];
    if (row == column) { value = select(value, 1.0, value == 0.0) + damping[0]; }
  }
  a[row * uniforms.padded + column] = value;
}`,
  });
}

/** The pivot block at `first`: inverse of its Cholesky factor, row by row. */
function pivotPass(size: number, padded: number, first: number): ComputePass {
  return definePass({
    bindings: [
      scratch(0, "a", "array<f32>", "read"),
      scratch(1, "pivot_block", "array<f32>", "write"),
      output(1, "pivots", "array<f32>"),
    ],
    uniforms: { size, padded, first },
    workgroups: [1, 1, 1],
    body: `
var<workgroup> block: array<f32, ${BLOCK * BLOCK}>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) local: u32) {
  for (var i = local; i < ${BLOCK * BLOCK}u; i += 256u) {
    block[i] = a[(uniforms.first + i / ${BLOCK}u) * uniforms.padded + uniforms.first + i % ${BLOCK}u];
  }
  workgroupBarrier();
  for (var k = 0u; k < ${BLOCK}u; k++) {
    let pivot = block[k * ${BLOCK}u + k];
    let place = uniforms.first + k;
    if (local == 0u && place < uniforms.size) { pivots[uniforms.size - 1u - place] = pivot; }
    let d = inverseSqrt(max(pivot, 1e-30));
    workgroupBarrier();
    if (local < ${BLOCK}u) {
      let at = k * ${BLOCK}u + local;
      block[at] = select(block[at] * d, d, local == k);
    }
    workgroupBarrier();
    for (var i = (k + 1u) * ${BLOCK}u + local; i < ${BLOCK * BLOCK}u; i += 256u) {
      let before = select(block[i], 0.0, i % ${BLOCK}u == k);
      block[i] = before - block[k * ${BLOCK}u + i / ${BLOCK}u] * block[k * ${BLOCK}u + i % ${BLOCK}u];
    }
    workgroupBarrier();
  }
  for (var i = local; i < ${BLOCK * BLOCK}u; i += 256u) {
    pivot_block[i] = select(0.0, block[i], i % ${BLOCK}u <= i / ${BLOCK}u);
  }
}`,
  });
}

/** The block row at `first`, one column per invocation: s = d * column, kept as rows of the panel. */
function panelPass(padded: number, first: number): ComputePass {
  const vectors = BLOCK / 4;
  const each = (text: (v: number) => string): string =>
    Array.from({ length: vectors }, (_, v) => text(v)).join("\n  ");
  const load = (k: number): string => `a[(uniforms.first + ${k}u) * uniforms.padded + column]`;
  return definePass({
    bindings: [
      scratch(1, "pivot_block", "array<vec4<f32>>", "read"),
      scratch(0, "a", "array<f32>", "write"),
      scratch(2, "panel", "array<f32>", "write"),
    ],
    uniforms: { padded, first },
    workgroups: [padded / BLOCK, 1, 1],
    body: `
var<workgroup> factor: array<vec4<f32>, ${BLOCK * vectors}>;

@compute @workgroup_size(${BLOCK})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let column = workgroup.x * ${BLOCK}u + local;
  let own = workgroup.x * ${BLOCK}u == uniforms.first;
  for (var i = local; i < ${BLOCK * vectors}u; i += ${BLOCK}u) { factor[i] = pivot_block[i]; }
  ${each((v) => `let v${v} = vec4<f32>(${[0, 1, 2, 3].map((i) => load(4 * v + i)).join(", ")});`)}
  workgroupBarrier();
  for (var k = 0u; k < ${BLOCK}u; k++) {
    let line = k * ${vectors}u;
    var s = 0.0;
    ${each((v) => `s += dot(factor[line + ${v}u], v${v});`)}
    if (own) { s = factor[line + local / 4u][local % 4u]; }
    panel[column * ${BLOCK}u + k] = s;
    a[(uniforms.first + k) * uniforms.padded + column] = select(s, 0.0, column >= uniforms.first + ${BLOCK}u);
  }
}`,
  });
}

/** Rows of the panel as an operand; `offset` is added to the row. */
function panelOperand(offset: string): Operand {
  return {
    declarations: `
fn fetch_panel(row: u32, unit: u32) -> vec4<f32> {
  return panel[min(row, uniforms.padded - 1u) * ${BLOCK / 4}u + unit];
}`,
    type: "vec4<f32>",
    fetch: (row, unit) => `fetch_panel(${row}${offset}, ${unit})`,
    expand: [(value) => value],
  };
}

/** All rows behind the block at `first` lose their product with its block row. */
function updatePass(shape: TileShape, padded: number, first: number): ComputePass {
  const rows = padded - first - BLOCK;
  return definePass({
    bindings: [scratch(2, "panel", "array<vec4<f32>>", "read"), scratch(0, "a", "array<f32>", "write")],
    uniforms: { rows, columns: padded, padded, first, steps: BLOCK / 4 / shape.depth },
    workgroups: tileWorkgroups(shape, rows, padded),
    body: tiledShader(shape, [{
      left: panelOperand(` + uniforms.first + ${BLOCK}u`),
      right: panelOperand(""),
      steps: "uniforms.steps",
      accumulator: "acc",
      accumulatorType: "f32",
      multiply: multiplyFloat,
    }], {
      wordType: "f32",
      perElement: (sum) => `
          let at = (row + uniforms.first + ${BLOCK}u) * uniforms.padded + column;
          let in_block = column >= uniforms.first && column < uniforms.first + ${BLOCK}u;
          a[at] = select(a[at], 0.0, in_block) - ${sum(0)};`,
    }),
  });
}

/** The inverse in reverse order again, zeros below the diagonal. */
function storePass(size: number, padded: number): ComputePass {
  return definePass({
    bindings: [scratch(0, "a", "array<f32>", "read"), output(0, "factor", "array<f32>")],
    uniforms: { size, padded },
    workgroups: squareWorkgroups(size),
    body: `
${SQUARE_MAIN}
  if (row >= uniforms.size || column >= uniforms.size) { return; }
  let last = uniforms.size - 1u;
  let value = a[(last - row) * uniforms.padded + last - column];
  factor[row * uniforms.size + column] = select(0.0, value, row <= column);
}`,
  });
}

function program({ size }: InverseFactorSpec, shape: TileShape): KernelProgram {
  const padded = Math.ceil(size / BLOCK) * BLOCK;
  const passes = [loadPass(size, padded)];
  for (let first = 0; first < padded; first += BLOCK) {
    passes.push(pivotPass(size, padded, first), panelPass(padded, first));
    if (first + BLOCK < padded) passes.push(updatePass(shape, padded, first));
  }
  passes.push(storePass(size, padded));
  return { passes, scratch: [padded * padded * 4, BLOCK * BLOCK * 4, padded * BLOCK * 4] };
}

/** Variants of `inverse_factor`. */
export const inverseFactorVariants: readonly KernelVariant<InverseFactorSpec>[] = TILE_SHAPES.map((
  [name, shape],
) => ({
  name,
  supports: (_spec, capabilities) => tileFits(shape, capabilities),
  suits: ({ size }) => tileSuits(shape, size, size),
  generate: (spec) => program(spec, shape),
}));
