// QUIK's quantization of one row by a workgroup, as statements: neighbors in x go to neighboring invocations, which hold
// their values in registers between the search for the range and the rounding, and put codes together by shuffles.
import { MIN_ACTIVATION_SCALE } from "../specs.ts";
import { range } from "./_range.ts";

/** One row, and what becomes of it. */
export interface RowCodes {
  /** Distinguishes the names of several rows. */
  readonly name: string;
  /** Base columns. */
  readonly inner: number;
  /** Bits of a code. */
  readonly bits: 4 | 8;
  /** Codes to write, those beyond `inner` zero. */
  readonly padded: number;
  /** Subgroups of the workgroup. */
  readonly subgroups: number;
  /** WGSL expression: where the row starts in `x`. */
  readonly start: string;
  /** Statements, run by one invocation, that keep `scale` and `zero`. */
  readonly keep: string;
  /**
   * Statements that write the codes of an invocation, given as `level_h`, whose lowest 8 bits are the level, counted from
   * 0, of number `k(h)` of the row.
   */
  store(count: number, k: (h: number) => string): string;
}

/** Declarations that `rowCodes` uses. */
export function rowCodesMemory(subgroups: number): string {
  return `
var<workgroup> lows: array<u32, ${subgroups}>;
var<workgroup> highs: array<u32, ${subgroups}>;
// Floats as integers of the same order, whose extremes a device may find in one instruction.
fn ordered(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  return bits ^ select(0x80000000u, 0xffffffffu, bits >= 0x80000000u);
}
fn unordered(value: u32) -> f32 {
  return bitcast<f32>(value ^ select(0xffffffffu, 0x80000000u, value >= 0x80000000u));
}`;
}

/** Codes of a row that one invocation holds. */
export function heldCodes({ padded, subgroups }: Pick<RowCodes, "padded" | "subgroups">): number {
  return Math.ceil(padded / (32 * subgroups));
}

const codeNumber = ({ subgroups }: RowCodes) => (h: number): string => `(local + ${h * 32 * subgroups}u)`;
const valueName = ({ name }: RowCodes) => (h: number): string => `value_${name}_${h}`;

/** Statements that read the values of a row; `local`, `x` and `base_columns` are known. */
export function readRow(row: RowCodes): string {
  const k = codeNumber(row);
  const value = valueName(row);
  const held = range(heldCodes(row));
  return [
    ...held.map((h) => `let at_${row.name}_${h} = base_columns[min(${k(h)}, ${row.inner - 1}u)];`),
    ...held.map((h) => `let ${value(h)} = x[${row.start} + at_${row.name}_${h}];`),
  ].join("\n    ");
}

/** A float that is added to one below 2^22 in magnitude leaves it rounded half to even, as an integer, in its low bits. */
export const ROUND = "12582912.0";

/**
 * Statements that find the range of a row, one barrier among them, and then know `scale`, `zero` and `inverse`.
 *
 * @param row The row.
 * @param values Names of the values that an invocation holds.
 */
export function findRange(
  { bits, subgroups, keep }: Pick<RowCodes, "bits" | "subgroups" | "keep">,
  values: readonly string[],
): string {
  const extreme = (f: string): string => values.reduce((a, b) => `${f}(${a}, ${b})`);
  return `let low = subgroupMin(ordered(${extreme("min")}));
    let high = subgroupMax(ordered(${extreme("max")}));
    if (lane == 0u) { lows[local / 32u] = low; highs[local / 32u] = high; }
    workgroupBarrier();
    let zero = unordered(subgroupMin(lows[lane % ${subgroups}u]));
    let top = unordered(subgroupMax(highs[lane % ${subgroups}u]));
    let scale = max((top - zero) / ${2 ** bits - 1}.0, ${MIN_ACTIVATION_SCALE});
    let inverse = 1.0 / scale;
    if (local == 0u) { ${keep} }`;
}

/** WGSL expression of type u32 whose lowest 8 bits are the level of a value, counted from 0; `findRange` stands before. */
export const quantizedLevel = (value: string): string =>
  `bitcast<u32>(fma(${value} - zero, inverse, ${ROUND}))`;

/** Statements that quantize the values that `readRow` read; `lane` is known. They hold one barrier. */
export function rowCodes(row: RowCodes): string {
  const value = valueName(row);
  const held = range(heldCodes(row));
  return `
    ${findRange(row, held.map(value))}
    ${held.map((h) => `let level_${h} = ${quantizedLevel(value(h))};`).join("\n    ")}
    ${row.store(held.length, codeNumber(row))}`;
}

/**
 * WGSL expression for a code, zero beyond the row.
 *
 * @param row The row.
 * @param h Number of the code in the invocation.
 * @param code Expression for the code.
 */
export function codeInside(row: Pick<RowCodes, "inner" | "subgroups">, h: number, code: string): string {
  const first = h * 32 * row.subgroups;
  return first + 32 * row.subgroups <= row.inner
    ? code
    : `select(0u, ${code}, local + ${first}u < ${row.inner}u)`;
}

/**
 * Statements that put the codes of neighbors together into words: `word_h` is the same for all that contribute.
 *
 * @param h Number of the code.
 * @param shift WGSL expression: where the code lies in its word.
 * @param partners Distances between the lanes that share a word.
 */
export function gatherWord(h: number, shift: string, partners: readonly number[]): string {
  const steps = partners.map((distance) => `word_${h} |= subgroupShuffleXor(word_${h}, ${distance}u);`);
  return `var word_${h} = code_${h} << (${shift}); ${steps.join(" ")}`;
}
