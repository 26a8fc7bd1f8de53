// Rows of x in the order in which a decode kernel wants them: vector v of every unit of a weight lies in plane v, so that a
// subgroup, which multiplies 32 units at a time, reads neighbors. Made by each workgroup for itself, or once for all.
import {
  type Binding,
  type ComputePass,
  definePass,
  input,
  LINEAR_WORKGROUP,
  linearMain,
  linearWorkgroups,
  scratch,
} from "./program.ts";
import { range } from "./_range.ts";

/** Rows of x, `inner` a multiple of four, and the units of `vectors` vectors of four that they are multiplied in. */
export interface PlanedRows {
  readonly rows: number;
  readonly inner: number;
  readonly units: number;
  readonly vectors: number;
}

const countOf = ({ rows, units, vectors }: PlanedRows): number => rows * units * vectors;

/** Vectors from one plane to the next; one more than a multiple of eight, so that a subgroup writes to different banks. */
const strideOf = ({ rows, units }: PlanedRows): number => 8 * Math.ceil(rows * units / 8) + 1;

/** Bytes of the planes. */
export const planeBytes = (planed: PlanedRows): number => strideOf(planed) * planed.vectors * 16;

/** Declares the planes in workgroup memory. */
export const planeMemory = (planed: PlanedRows): string =>
  `var<workgroup> planes: array<vec4<f32>, ${strideOf(planed) * planed.vectors}>;`;

/** WGSL expression: vector `v` of a unit of row `m`. */
export function planeValue(planed: PlanedRows, v: number, m: number, unit: string): string {
  return `planes[${v * strideOf(planed) + m * planed.units}u + ${unit}]`;
}

/** The binding of x. */
export const planedInput: Binding = input(0, "x", "array<vec4<f32>>");

/** WGSL expression: vector number `i` of the rows as they are multiplied, zero beyond the end of a row. */
function read({ inner, units, vectors }: PlanedRows, i: string): string {
  const length = units * vectors;
  if (inner === 4 * length) return `x[${i}]`;
  const place = `${i} / ${length}u * ${inner / 4}u + min(${i} % ${length}u, ${inner / 4 - 1}u)`;
  return `select(vec4<f32>(0.0), x[${place}], ${i} % ${length}u < ${inner / 4}u)`;
}

const placeOf = (planed: PlanedRows, i: string): string =>
  `${i} % ${planed.vectors}u * ${strideOf(planed)}u + ${i} / ${planed.vectors}u`;

/** Reading x, and keeping it in workgroup memory: the statements of a decode kernel around its first reads of the weight. */
export function stagePlanes(planed: PlanedRows, threads: number): { reads: string; prologue: string } {
  const count = countOf(planed);
  const items = range(Math.ceil(count / threads));
  const inside = (i: number): boolean => (i + 1) * threads <= count;
  const index = (i: number): string =>
    inside(i) ? `(local + ${i * threads}u)` : `min(local + ${i * threads}u, ${count - 1}u)`;
  const write = (i: number): string => {
    const statement = `planes[${placeOf(planed, index(i))}] = x_read_${i};`;
    return inside(i) ? statement : `if (local + ${i * threads}u < ${count}u) { ${statement} }`;
  };
  return {
    reads: items.map((i) => `let x_read_${i} = ${read(planed, index(i))};`).join("\n  "),
    prologue: items.map(write).join("\n  "),
  };
}

const THREADS = 128;

/** The pass that leaves the planes in scratch buffer 0. */
export function planesPass(planed: PlanedRows): ComputePass {
  const count = countOf(planed);
  return definePass({
    bindings: [planedInput, scratch(0, "planes", "array<vec4<f32>>", "write")],
    workgroups: linearWorkgroups(Math.ceil(count / THREADS)),
    body: `
${linearMain(THREADS)}
  let i = ${LINEAR_WORKGROUP} * ${THREADS}u + local;
  if (i < ${count}u) { planes[${placeOf(planed, "i")}] = ${read(planed, "i")}; }
}`,
  });
}
