// Weight-only products with any format of at most 8 bits: codes become levels through a table in workgroup memory, on
// their way into the tile, so that a new format needs no new kernel.
import type { CodebookLinearSpec } from "../specs.ts";
import { FLOAT8_FUNCTIONS, floatStorage } from "./_operands.ts";
import { codeAt, packedOperand, weightOnlyVariants } from "./_weight_only.ts";
import { input, type KernelVariant } from "./program.ts";

/** WGSL of `decode_weight`: levels of four codes, less the zero point, times the scale. */
function decodeFunction({ bits, groupSize, scaleType, zeroPoint }: CodebookLinearSpec): string {
  const scale = (group: string): string => floatStorage(scaleType).load("scales", group);
  const level = (i: number): string => `levels[${codeAt(bits, i)}]`;
  const groupOf = (k: string): string => `groups_start + min((${k}) / ${groupSize}u, uniforms.groups - 1u)`;
  const value = (i: number): string => {
    const group = groupOf(`k + ${i}u`);
    return `(${level(i)}${zeroPoint ? ` - zeros[${group}]` : ""}) * ${scale(group)}`;
  };
  // Groups of a multiple of four share one scale among the values of a vector.
  const decoded = groupSize % 4 === 0
    ? `let group = ${groupOf("k")};
  let scale = ${scale("group")};
  return (vec4<f32>(${[0, 1, 2, 3].map(level).join(", ")})${
      zeroPoint ? " - vec4<f32>(zeros[group])" : ""
    }) * scale;`
    : `return vec4<f32>(${[0, 1, 2, 3].map(value).join(",\n    ")});`;
  return `
var<workgroup> levels: array<f32, ${2 ** bits}>;
${scaleType.startsWith("float8") ? FLOAT8_FUNCTIONS : ""}
fn decode_weight(codes: u32, row: u32, k: u32) -> vec4<f32> {
  let groups_start = min(row, uniforms.columns - 1u) * uniforms.groups;
  ${decoded}
}`;
}

/** Variants of `codebook_linear`. */
export const codebookLinearVariants: readonly KernelVariant<CodebookLinearSpec>[] = weightOnlyVariants({
  parameters: ({ scaleType, zeroPoint }) => [
    input(2, "table", "array<f32>"),
    input(3, "scales", floatStorage(scaleType).binding),
    ...(zeroPoint ? [input(4, "zeros", "array<f32>")] : []),
  ],
  operand: (spec) => packedOperand(spec.bits, decodeFunction(spec)),
  prologue: ({ bits }) =>
    `if (local < ${2 ** bits}u) { levels[local] = table[local]; }
  workgroupBarrier();`,
  workgroupBytes: ({ bits }) => 4 * 2 ** bits,
});
