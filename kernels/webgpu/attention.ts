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
  return 4 * (rows * headSize + rows * threads + threads + groups * headSize);
}

function each(count: number, text: (i: number) => string, joint = "\n    "): string {
  return Array.from({ length: count }, (_, i) => text(i)).join(joint);
}

/** Reduces the lines of `weights`, one per query row, to the first of each row's `slots`, `lanes` invocations to a row. */
function reduceLines(
  { rows, threads }: Layout,
  lanes: number,
  start: string,
  combine: (a: string, b: string) => string,
): string {
  return `workgroupBarrier();
    if (line < ${rows}u) {
      var reduced = ${start};
      for (var i = lane; i < ${threads}u; i += ${lanes}u) {
        reduced = ${combine("reduced", `weights[line * ${threads}u + i]`)};
      }
      slots[local] = reduced;
    }
    workgroupBarrier();
    for (var stride = ${lanes / 2}u; stride > 0u; stride >>= 1u) {
      if (line < ${rows}u && lane < stride) {
        slots[local] = ${combine("slots[local]", "slots[local + stride]")};
      }
      workgroupBarrier();
    }`;
}

function body(spec: AttentionSpec, layout: Layout): string {
  const { heads, kvHeads, headSize, window } = spec;
  const { rows, threads, groups } = layout;
  const vector = headSize % 4 === 0 ? 4 : 1;
  const element = vector === 4 ? "vec4<f32>" : "f32";
  const stride = kvHeads * headSize;
  const product = vector === 4 ? "dot" : "multiply";
  const lanes = 2 ** Math.floor(Math.log2(threads / rows));
  const attended = (r: number): string => `(key >= first_${r} && key <= last_${r})`;
  return `
var<workgroup> query: array<${element}, ${rows * headSize / vector}>;
var<workgroup> weights: array<f32, ${rows * threads}>;
var<workgroup> slots: array<f32, ${threads}>;
var<workgroup> outputs: array<f32, ${groups * headSize}>;

fn multiply(a: f32, b: f32) -> f32 { return a * b; }

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let head = workgroup.x;
  let row0 = workgroup.y * ${rows}u;
  let cached = (head * ${kvHeads}u / ${heads}u) * ${headSize}u;
  let last_row = uniforms.rows - 1u;
  for (var i = local; i < ${rows * headSize / vector}u; i += ${threads}u) {
    let row = min(row0 + i / ${headSize / vector}u, last_row);
    query[i] = q[(row * ${heads}u + head) * ${headSize / vector}u + i % ${headSize / vector}u];
  }
  // Keys that each row, and that any of the rows attends.
  ${each(rows, (r) => `let last_${r} = positions[min(row0 + ${r}u, last_row)];`)}
  ${
    each(rows, (r) =>
      `let first_${r} = ${window > 0 ? `max(last_${r}, ${window - 1}u) - ${window - 1}u` : "0u"};`)
  }
  var first = first_0;
  var last = last_0;
  ${each(rows, (r) => `first = min(first, first_${r}); last = max(last, last_${r});`)}
  // The running softmax of each row: largest score so far, own share of the total, own sum of values.
  ${each(rows, (r) => `var highest_${r} = -3.4e38; var total_${r} = 0.0; var sum_${r} = 0.0;`)}
  let dimension = local % ${headSize}u;
  let group = local / ${headSize}u;
  let line = local / ${lanes}u;
  let lane = local % ${lanes}u;
  workgroupBarrier();

  for (var start = first; start <= last; start += ${threads}u) {
    let key = start + local;
    ${each(rows, (r) => `var score_${r} = 0.0;`)}
    if (key <= last) {
      let at = (key * ${stride}u + cached) / ${vector}u;
      for (var i = 0u; i < ${headSize / vector}u; i++) {
        let k = keys[at + i];
        ${each(rows, (r) => `score_${r} += ${product}(query[${r * headSize / vector}u + i], k);`)}
      }
    }
    ${
    each(rows, (r) =>
      `score_${r} = select(-3.4e38, score_${r} * ${1 / Math.sqrt(headSize)}, ${attended(r)});
    weights[${r * threads}u + local] = score_${r};`)
  }
    ${reduceLines(layout, lanes, "-3.4e38", (a, b) => `max(${a}, ${b})`)}
    ${
    each(rows, (r) =>
      `let top_${r} = max(highest_${r}, slots[${r * lanes}u]);
    let decay_${r} = exp(highest_${r} - top_${r});
    highest_${r} = top_${r};
    let weight_${r} = select(0.0, exp(score_${r} - top_${r}), ${attended(r)});
    weights[${r * threads}u + local] = weight_${r};
    total_${r} = total_${r} * decay_${r} + weight_${r};
    sum_${r} *= decay_${r};`)
  }
    workgroupBarrier();
    if (group < ${groups}u) {
      let count = min(last - start + 1u, ${threads}u);
      for (var i = group; i < count; i += ${groups}u) {
        let value = values[(start + i) * ${stride}u + cached + dimension];
        ${each(rows, (r) => `sum_${r} = fma(weights[${r * threads}u + i], value, sum_${r});`)}
      }
    }
    workgroupBarrier();
  }
  ${each(rows, (r) => `weights[${r * threads}u + local] = total_${r};`)}
    ${reduceLines(layout, lanes, "0.0", (a, b) => `${a} + ${b}`)}
${
    each(rows, (r) => `
  if (group < ${groups}u) { outputs[local] = sum_${r}; }
  workgroupBarrier();
  if (local < ${headSize}u && row0 + ${r}u < uniforms.rows) {
    let sum = ${each(groups, (g) => `outputs[local + ${g * headSize}u]`, " + ")};
    y[((row0 + ${r}u) * ${heads}u + head) * ${headSize}u + local] = sum / slots[${r * lanes}u];
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
