// Symmetric quantization in groups through any format: first the scales, many groups to a workgroup, then the codes,
// one packed word per invocation, each by binary search among the thresholds of the format.
import type { QuantizeGroupsSpec } from "../quantization_specs.ts";
import { packedRowBytes } from "../specs.ts";
import {
  type ComputePass,
  definePass,
  input,
  type KernelVariant,
  LINEAR_WORKGROUP,
  linearMain,
  linearWorkgroups,
  output,
} from "./program.ts";

const THREADS = 256;

function scalesPass({ rows, columns, groupSize, limit }: QuantizeGroupsSpec): ComputePass {
  const lanes = Math.min(THREADS, 2 ** Math.ceil(Math.log2(Math.min(groupSize, columns))));
  const groups = Math.ceil(columns / groupSize);
  return definePass({
    bindings: [input(0, "x", "array<f32>"), output(1, "scales", "array<f32>")],
    uniforms: { count: rows * groups, columns, groups, group_size: groupSize },
    workgroups: linearWorkgroups(Math.ceil(rows * groups * lanes / THREADS)),
    body: `
var<workgroup> slots: array<f32, ${THREADS}>;
${linearMain(THREADS)}
  let group = ${LINEAR_WORKGROUP} * ${THREADS / lanes}u + local / ${lanes}u;
  let lane = local % ${lanes}u;
  var highest = 0.0;
  if (group < uniforms.count) {
    let row_start = group / uniforms.groups * uniforms.columns;
    let start = group % uniforms.groups * uniforms.group_size;
    let end = min(start + uniforms.group_size, uniforms.columns);
    for (var k = start + lane; k < end; k += ${lanes}u) { highest = max(highest, abs(x[row_start + k])); }
  }
  slots[local] = highest;
  workgroupBarrier();
  for (var stride = ${lanes / 2}u; stride > 0u; stride >>= 1u) {
    if (lane < stride) { slots[local] = max(slots[local], slots[local + stride]); }
    workgroupBarrier();
  }
  if (lane == 0u && group < uniforms.count) {
    scales[group] = max(slots[local] / f32(${limit}), ${2 ** -126});
  }
}`,
  });
}

function codesPass({ rows, columns, groupSize, bits }: QuantizeGroupsSpec): ComputePass {
  const words = packedRowBytes(columns, bits) / 4;
  return definePass({
    bindings: [
      input(0, "x", "array<f32>"),
      input(1, "thresholds", "array<f32>"),
      input(2, "code_table", "array<u32>"),
      { ...output(1, "scales", "array<f32>"), writes: false },
      output(0, "codes", "array<u32>"),
    ],
    uniforms: {
      count: rows * words,
      columns,
      words,
      groups: Math.ceil(columns / groupSize),
      group_size: groupSize,
    },
    workgroups: linearWorkgroups(Math.ceil(rows * words / THREADS)),
    body: `
fn encode(value: f32) -> u32 {
  var count = 0u;
  for (var step = ${2 ** (bits - 1)}u; step > 0u; step >>= 1u) {
    if (thresholds[count + step - 1u] <= value) { count += step; }
  }
  return code_table[count];
}
${linearMain(THREADS)}
  let i = ${LINEAR_WORKGROUP} * ${THREADS}u + local;
  if (i >= uniforms.count) { return; }
  let row = i / uniforms.words;
  let bit = i % uniforms.words * 32u;
  var word = 0u;
  // A code of three bits may begin in the word before.
  for (var k = bit / ${bits}u; k * ${bits}u < bit + 32u && k < uniforms.columns; k++) {
    let scale = scales[row * uniforms.groups + k / uniforms.group_size];
    let code = encode(x[row * uniforms.columns + k] / scale);
    let at = k * ${bits}u;
    if (at >= bit) { word |= code << (at - bit); } else { word |= code >> (bit - at); }
  }
  codes[i] = word;
}`,
  });
}

/** Variants of `quantize_groups`. */
export const quantizeGroupsVariants: readonly KernelVariant<QuantizeGroupsSpec>[] = [{
  name: "two_passes",
  supports: () => true,
  generate: (spec) => ({ passes: [scalesPass(spec), codesPass(spec)] }),
}];
