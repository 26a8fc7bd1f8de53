// Weight-only products whose groups have a table of values each, read from the cache: clustered weights and binary coding.
import type { TableLinearSpec } from "../quantization_specs.ts";
import { codeAt, packedOperand, weightOnlyVariants } from "./_weight_only.ts";
import { input, type KernelVariant } from "./program.ts";

/** WGSL of `decode_weight`: four codes through the tables of their groups. */
function decodeFunction({ bits, groupSize }: TableLinearSpec): string {
  const tableOf = (k: string): string =>
    `(groups_start + min((${k}) / ${groupSize}u, uniforms.groups - 1u)) * ${2 ** bits}u`;
  const value = (i: number): string => {
    const table = groupSize % 4 === 0 ? "table" : tableOf(`k + ${i}u`);
    return `tables[${table} + ${codeAt(bits, i)}]`;
  };
  return `
fn decode_weight(codes: u32, row: u32, k: u32) -> vec4<f32> {
  let groups_start = min(row, uniforms.columns - 1u) * uniforms.groups;
  ${groupSize % 4 === 0 ? `let table = ${tableOf("k")};` : ""}
  return vec4<f32>(${[0, 1, 2, 3].map(value).join(",\n    ")});
}`;
}

/** Variants of `table_linear`. */
export const tableLinearVariants: readonly KernelVariant<TableLinearSpec>[] = weightOnlyVariants({
  parameters: () => [input(2, "tables", "array<f32>")],
  operand: (spec) => packedOperand(spec.bits, decodeFunction(spec)),
  prologue: () => "",
  workgroupBytes: () => 0,
});
