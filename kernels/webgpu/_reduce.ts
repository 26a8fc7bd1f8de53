// Sums, minima and maxima over the 256 invocations of a workgroup, for ops that take one row per workgroup.
import { LINEAR_WORKGROUP, linearMain } from "./program.ts";

/** Invocations of a workgroup that reduces. */
export const REDUCE_THREADS = 256;

/** Parameters of an entry point whose workgroups each take one row, and the row. */
export const ROW_MAIN = `
${linearMain(REDUCE_THREADS)}
  let row = ${LINEAR_WORKGROUP};
  if (row >= uniforms.rows) { return; }`;

/**
 * WGSL functions `reduce_<name>(local, value)` that return the same result in every invocation.
 *
 * @param names Which functions.
 */
export function reduceFunctions(...names: readonly ("sum" | "min" | "max")[]): string {
  return `var<workgroup> reduce_slots: array<f32, ${REDUCE_THREADS}>;
${names.map(reduceFunction).join("\n")}`;
}

function reduceFunction(name: "sum" | "min" | "max"): string {
  const here = "reduce_slots[local]";
  const there = "reduce_slots[local + stride]";
  const combined = name === "sum" ? `${here} + ${there}` : `${name}(${here}, ${there})`;
  return `
fn reduce_${name}(local: u32, value: f32) -> f32 {
  workgroupBarrier(); // the result of an earlier reduction may still be read
  ${here} = value;
  workgroupBarrier();
  for (var stride = ${REDUCE_THREADS / 2}u; stride > 0u; stride >>= 1u) {
    if (local < stride) { ${here} = ${combined}; }
    workgroupBarrier();
  }
  return reduce_slots[0];
}`;
}
