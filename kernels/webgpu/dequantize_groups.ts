// The dequantized matrix of packed codes, one value per invocation.
import type { DequantizeGroupsSpec } from "../quantization_specs.ts";
import { packedRowBytes } from "../specs.ts";
import { FLOAT8_FUNCTIONS, floatStorage } from "./_operands.ts";
import {
  definePass,
  input,
  type KernelVariant,
  LINEAR_WORKGROUP,
  linearMain,
  linearWorkgroups,
  output,
} from "./program.ts";

/** WGSL that reads code `k` of a row starting at word `start`; a three-bit code may end in the next word. */
function readCode(bits: number): string {
  const next = bits === 3
    ? `
  if (shift > 29u) { code |= codes[word + 1u] << (32u - shift); }`
    : "";
  return `
fn read_code(start: u32, k: u32) -> u32 {
  let word = start + k * ${bits}u / 32u;
  let shift = k * ${bits}u % 32u;
  var code = codes[word] >> shift;${next}
  return code & ${2 ** bits - 1}u;
}`;
}

/** Variants of `dequantize_groups`. */
export const dequantizeGroupsVariants: readonly KernelVariant<DequantizeGroupsSpec>[] = [{
  name: "per_element",
  supports: () => true,
  generate: ({ rows, columns, bits, groupSize, scaleType, zeroPoint }) => ({
    passes: [definePass({
      bindings: [
        input(0, "codes", "array<u32>"),
        input(1, "table", "array<f32>"),
        input(2, "scales", floatStorage(scaleType).binding),
        ...(zeroPoint ? [input(3, "zeros", "array<f32>")] : []),
        output(0, "y", "array<f32>"),
      ],
      uniforms: {
        count: rows * columns,
        columns,
        words: packedRowBytes(columns, bits) / 4,
        groups: Math.ceil(columns / groupSize),
        group_size: groupSize,
      },
      workgroups: linearWorkgroups(Math.ceil(rows * columns / 256)),
      body: `
${scaleType.startsWith("float8") ? FLOAT8_FUNCTIONS : ""}
${readCode(bits)}

${linearMain(256)}
  let i = ${LINEAR_WORKGROUP} * 256u + local;
  if (i >= uniforms.count) { return; }
  let row = i / uniforms.columns;
  let k = i % uniforms.columns;
  let group = row * uniforms.groups + k / uniforms.group_size;
  let level = table[read_code(row * uniforms.words, k)]${zeroPoint ? " - zeros[group]" : ""};
  y[i] = level * ${floatStorage(scaleType).load("scales", "group")};
}`,
    })],
  }),
}];
