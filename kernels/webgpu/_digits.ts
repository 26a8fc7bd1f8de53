// x as int8 digits with one scale for 32 values, in the order in which the nibbles of a word of codes lie; made by each
// workgroup for itself, or once for all. Three digits are 22 bits of the largest of 32 values; where x may be kept in 16 bits,
// two are 15 of them.
import { type CodebookLinearSpec, packedRowBytes } from "../specs.ts";
import { tableBinding } from "./_codebook_decode.ts";
import type { WebGpuCapabilities } from "./capabilities.ts";
import { decodeEnables } from "./_decode.ts";
import { ROUND } from "./_row_codes.ts";
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

/** Values that one unit of 16 bytes of codes multiplies. */
export const UNIT = 32;

/** Digits of a value. */
export const digitsOf = ({ allowFloat16 }: CodebookLinearSpec): 2 | 3 => allowFloat16 ? 2 : 3;

/** Vectors that a unit becomes: its two halves of sixteen int8, per digit. */
export const vectorsOf = (spec: CodebookLinearSpec): number => 2 * digitsOf(spec);

/** Bytes of the digits of all rows. */
export const digitBytes = (spec: CodebookLinearSpec): number =>
  16 * spacedPlaces(spec) * vectorsOf(spec) + 8 * placesOf(spec);

/** Reads four values of x, zeros beyond the row. */
function loadX(inner: number): string {
  if (inner % 4 === 0) {
    return `
fn x_at(row: u32, k: u32) -> vec4<f32> {
  return select(vec4<f32>(0.0), x[(row * ${inner}u + min(k, ${inner - 4}u)) / 4u], k < ${inner}u);
}`;
  }
  const value = (i: number): string =>
    `select(0.0, x[row * ${inner}u + min(k + ${i}u, ${inner - 1}u)], k + ${i}u < ${inner}u)`;
  return `
fn x_at(row: u32, k: u32) -> vec4<f32> {
  return vec4<f32>(${[0, 1, 2, 3].map(value).join(", ")});
}`;
}

/** WGSL statements: `vector`, two eights of plane `even` in an even quarter, of plane `odd` in an odd one, of which each of
 * the two invocations gives one. */
const exchange = (vector: string, even: number, odd: number): string =>
  `let sent_${vector} = subgroupShuffleXor(select(plane_${odd}, plane_${even}, second), 1u);
  let ${vector} = select(vec4<u32>(plane_${even}, sent_${vector}), vec4<u32>(sent_${vector}, plane_${odd}), second);`;

/**
 * Turns eight values of x, a quarter of a unit, into digits: value = scale * (65536 * digit 2 + 256 * digit 1 + digit 0).
 * Four neighbors share a unit; two of them put their eights together, and each writes the vector of another digit.
 * `unit_scale` keeps the scale times the distance of two levels, and the sum of the values, times the lowest level where
 * groups have no zero points.
 */
export function stageFunction(spec: CodebookLinearSpec): string {
  const planes = digitsOf(spec);
  // The largest value becomes this, which a float addition rounds (see `ROUND`).
  const largest = 127 * 2 ** (planes === 3 ? 14 : 8);
  const whole = (name: string, values: string): string =>
    `var ${name} = bitcast<vec4<i32>>(fma(vec4<f32>(${values}), vec4<f32>(inverse), vec4<f32>(${ROUND}))) - vec4<i32>(0x4b400000);`;
  const keep = (plane: number): string => `let plane_${plane} = vec2<u32>(bytes(even), bytes(odd));`;
  return `${loadX(spec.inner)}
fn bytes(value: vec4<i32>) -> u32 {
  let parts = (bitcast<vec4<u32>>(value) & vec4<u32>(255u)) << vec4<u32>(0u, 8u, 16u, 24u);
  return parts.x | parts.y | parts.z | parts.w;
}
fn stage(a: vec4<f32>, b: vec4<f32>, place: u32, quarter: u32, inside: bool, lowest: f32, spacing: f32) {
  let size = max(abs(a), abs(b));
  var most = max(max(size.x, size.y), max(size.z, size.w));
  var total = (a.x + a.y) + (a.z + a.w) + ((b.x + b.y) + (b.z + b.w));
  most = max(most, subgroupShuffleXor(most, 1u));
  total += subgroupShuffleXor(total, 1u);
  most = max(most, subgroupShuffleXor(most, 2u));
  total += subgroupShuffleXor(total, 2u);
  let inverse = select(0.0, ${largest}.0 / most, most > 0.0);
  // First the even values, then the odd ones, as the nibbles of a word of codes lie.
  ${whole("even", "a.x, a.z, b.x, b.z")}
  ${whole("odd", "a.y, a.w, b.y, b.w")}
  ${
    range(planes).map(keep).join(`
  even = (even + vec4<i32>(128)) >> vec4<u32>(8u); odd = (odd + vec4<i32>(128)) >> vec4<u32>(8u);
  `)
  }
  let second = (quarter & 1u) != 0u;
  ${exchange("low", 0, 1)}
  ${planes === 3 ? exchange("high", 2, 2) : ""}
  if (inside) {
    let half = quarter >> 1u;
    digits[(2u * (quarter & 1u) + half) * PLACES + place] = low;
    ${planes === 3 ? "if (!second) { digits[(4u + half) * PLACES + place] = high; }" : ""}
    if (quarter == 0u) {
      unit_scale[place] = vec2<f32>(most / ${largest}.0 * spacing, total${spec.zeroPoint ? "" : " * lowest"});
    }
  }
}`;
}

/** Statements that read the lowest level and the distance of two. */
export const READ_LEVELS = "let lowest = table[0]; let spacing = table[1] - lowest;";

/** Reading x, and turning it into digits: the statements of a decode kernel around its first reads of the weight. */
export function staging(spec: CodebookLinearSpec, threads: number): { reads: string; prologue: string } {
  const units = packedRowBytes(spec.inner, 4) / 16;
  const quarters = spec.rows * units * 4;
  const items = range(Math.ceil(quarters / threads));
  const place = (i: number): string => `min((local + ${i * threads}u) / 4u, ${quarters / 4 - 1}u)`;
  const x = (i: number, half: number): string =>
    `x_at(${place(i)} / ${units}u, ${place(i)} % ${units}u * ${UNIT}u + 8u * (local % 4u) + ${4 * half}u)`;
  const stage = (i: number): string =>
    `stage(a_${i}, b_${i}, ${place(i)}, local % 4u, local + ${
      i * threads
    }u < ${quarters}u, lowest, spacing);`;
  return {
    reads: `${READ_LEVELS}
  ${items.map((i) => `let a_${i} = ${x(i, 0)}; let b_${i} = ${x(i, 1)};`).join("\n  ")}`,
    prologue: `${items.map(stage).join("\n  ")}
  workgroupBarrier();`,
  };
}

/** The binding of x. */
export const xBinding = ({ inner }: CodebookLinearSpec): Binding =>
  input(0, "x", inner % 4 === 0 ? "array<vec4<f32>>" : "array<f32>");

/** Units of all rows of x. */
export const placesOf = ({ rows, inner }: CodebookLinearSpec): number => rows * packedRowBytes(inner, 4) / 16;

/** Places from one vector of all units to the next: two more than a multiple of eight, so that a subgroup writes to different
 * banks. */
export const spacedPlaces = (spec: CodebookLinearSpec): number => 8 * Math.ceil(placesOf(spec) / 8) + 2;

/** Invocations of a workgroup of the pass that makes digits. */
const DIGIT_THREADS = 128;

/** Turns x into digits in scratch memory. */
export function digitsPass(spec: CodebookLinearSpec, capabilities: WebGpuCapabilities): ComputePass {
  const units = packedRowBytes(spec.inner, 4) / 16;
  const places = placesOf(spec);
  return definePass({
    enables: decodeEnables(capabilities),
    bindings: [
      xBinding(spec),
      tableBinding,
      scratch(0, "digits", "array<vec4<u32>>", "write"),
      scratch(1, "unit_scale", "array<vec2<f32>>", "write"),
    ],
    workgroups: linearWorkgroups(Math.ceil(4 * places / DIGIT_THREADS)),
    body: `
const PLACES = ${spacedPlaces(spec)}u;
${stageFunction(spec)}
${linearMain(DIGIT_THREADS)}
  ${READ_LEVELS}
  let item = ${LINEAR_WORKGROUP} * ${DIGIT_THREADS}u + local;
  let place = min(item / 4u, ${places - 1}u);
  let k = place % ${units}u * ${UNIT}u + 8u * (item % 4u);
  stage(x_at(place / ${units}u, k), x_at(place / ${units}u, k + 4u), place, item % 4u, item < ${
      4 * places
    }u, lowest, spacing);
}`,
  });
}
