// Causal attention in one pass over the cache with a running softmax. A workgroup takes one head and a few query rows,
// which share every key and value it reads: scores first, one key per invocation, then values, one dimension per
// invocation, the keys of a tile divided among as many groups of invocations as there are.
import type { AttentionSpec } from "../specs.ts";
import { definePass, input, type KernelVariant, output } from "./program.ts";

/** How the invocations of a workgroup are arranged. */
interface Layout {
  /** Query rows of a workgroup. */
  readonly rows: number;
  /** Invocations, and keys of a tile. */
  readonly threads: number;
  /** Groups of `headSize` invocations. */
  readonly groups: number;
}

function layoutOf(headSize: number, rows: number, threads: number): Layout {
  const enough = Math.max(threads, Math.ceil(headSize / 32) * 32);
  return { rows, threads: enough, groups: Math.floor(enough / headSize) };
}

function storageBytes({ rows, threads, groups }: Layout, headSize: number): number {
  return 4 * (rows * headSize + rows * threads + 3 * rows + groups * headSize);
}

function each(count: number, text: (i: number) => string, joint = "\n"): string {
  return Array.from({ length: count }, (_, i) => text(i)).join(joint);
}

function body(spec: AttentionSpec, layout: Layout): string {
  const { heads, kvHeads, headSize, window } = spec;
  const { rows, threads, groups } = layout;
  const lanes = headSize % 4 === 0 ? 4 : 1;
  const element = lanes === 4 ? "vec4<f32>" : "f32";
  const stride = kvHeads * headSize;
  const product = lanes === 4 ? "dot" : "mul";
  const perRow = Math.floor(threads / rows);
  return `
var<workgroup> query: array<${element}, ${rows * headSize / lanes}>;
var<workgroup> weights: array<f32, ${rows * threads}>;
var<workgroup> highest: array<f32, ${rows}>;
var<workgroup> total: array<f32, ${rows}>;
var<workgroup> decay: array<f32, ${rows}>;
var<workgroup> outputs: array<f32, ${groups * headSize}>;

fn mul(a: f32, b: f32) -> f32 { return a * b; }

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let head = workgroup.x;
  let row0 = workgroup.y * ${rows}u;
  let cached = (head * ${kvHeads}u / ${heads}u) * ${headSize}u;
  let last_row = uniforms.rows - 1u;
  for (var i = local; i < ${rows * headSize / lanes}u; i += ${threads}u) {
    let row = min(row0 + i / ${headSize / lanes}u, last_row);
    query[i] = q[(row * ${heads}u + head) * ${headSize / lanes}u + i % ${headSize / lanes}u];
  }
  if (local < ${rows}u) { highest[local] = -3.4e38; total[local] = 0.0; }
  // Keys that any of the rows attends.
  ${each(rows, (r) => `let last_${r} = positions[min(row0 + ${r}u, last_row)];`, "\n  ")}
  ${
    each(
      rows,
      (r) => `let first_${r} = ${window > 0 ? `max(last_${r}, ${window - 1}u) - ${window - 1}u` : "0u"};`,
      "\n  ",
    )
  }
  var first = first_0;
  var last = last_0;
  ${each(rows, (r) => `first = min(first, first_${r}); last = max(last, last_${r});`, "\n  ")}
  ${each(rows, (r) => `var sum_${r} = 0.0;`, " ")}
  let dimension = local % ${headSize}u;
  let group = local / ${headSize}u;
  workgroupBarrier();

  for (var start = first; start <= last; start += ${threads}u) {
    let key = start + local;
    ${each(rows, (r) => `var score_${r} = 0.0;`, " ")}
    if (key <= last) {
      let at = (key * ${stride}u + cached) / ${lanes}u;
      for (var i = 0u; i < ${headSize / lanes}u; i++) {
        let k = keys[at + i];
        ${
    each(rows, (r) => `score_${r} += ${product}(query[${r * headSize / lanes}u + i], k);`, "\n        ")
  }
      }
    }
    ${
    each(rows, (r) =>
      `weights[${r * threads}u + local] = select(-3.4e38, score_${r} * ${
        1 / Math.sqrt(headSize)
      }, key >= first_${r} && key <= last_${r});`, "\n    ")
  }
    workgroupBarrier();
    // The running softmax: ${perRow} invocations to a row would need another exchange, one is enough.
    if (local < ${rows}u) {
      let line = local * ${threads}u;
      let before = highest[local];
      var top = before;
      for (var i = 0u; i < ${threads}u; i++) { top = max(top, weights[line + i]); }
      let shrink = exp(before - top);
      highest[local] = top;
      decay[local] = shrink;
      total[local] *= shrink;
    }
    workgroupBarrier();
    ${
    each(rows, (r) =>
      `weights[${r * threads}u + local] = select(0.0, exp(weights[${
        r * threads
      }u + local] - highest[${r}]), key >= first_${r} && key <= last_${r});`, "\n    ")
  }
    workgroupBarrier();
    if (local < ${rows}u) {
      let line = local * ${threads}u;
      var sum = 0.0;
      for (var i = 0u; i < ${threads}u; i++) { sum += weights[line + i]; }
      total[local] += sum;
    }
    ${each(rows, (r) => `sum_${r} *= decay[${r}];`, " ")}
    if (group < ${groups}u) {
      let count = min(last - start + 1u, ${threads}u);
      for (var i = group; i < count; i += ${groups}u) {
        let value = values[(start + i) * ${stride}u + cached + dimension];
        ${each(rows, (r) => `sum_${r} = fma(weights[${r * threads}u + i], value, sum_${r});`, "\n        ")}
      }
    }
    workgroupBarrier();
  }
${
    each(rows, (r) => `
  if (group < ${groups}u) { outputs[local] = sum_${r}; }
  workgroupBarrier();
  if (local < ${headSize}u && row0 + ${r}u < uniforms.rows) {
    let sum = ${each(groups, (g) => `outputs[local + ${g * headSize}u]`, " + ")};
    y[((row0 + ${r}u) * ${heads}u + head) * ${headSize}u + local] = sum / total[${r}];
  }
  workgroupBarrier();`)
  }
}`;
}

function variant(name: string, rows: number, threads: number): KernelVariant<AttentionSpec> {
  return {
    name,
    supports: ({ headSize }, { limits }) =>
      headSize <= limits.maxComputeInvocationsPerWorkgroup &&
      storageBytes(layoutOf(headSize, rows, threads), headSize) <= limits.maxComputeWorkgroupStorageSize,
    suits: (spec) => spec.rows >= rows,
    generate: (spec) => {
      const vector = spec.headSize % 4 === 0 ? "array<vec4<f32>>" : "array<f32>";
      return {
        passes: [definePass({
          bindings: [
            input(0, "q", vector),
            input(1, "keys", vector),
            input(2, "values", "array<f32>"),
            input(3, "positions", "array<u32>"),
            output(0, "y", "array<f32>"),
          ],
          uniforms: { rows: spec.rows },
          workgroups: [spec.heads, Math.max(1, Math.ceil(spec.rows / rows)), 1],
          body: body(spec, layoutOf(spec.headSize, rows, threads)),
        })],
      };
    },
  };
}

/** Variants of `attention`. */
export const attentionVariants: readonly KernelVariant<AttentionSpec>[] = [
  variant("eight_rows", 8, 128),
  variant("one_row", 1, 256),
];
