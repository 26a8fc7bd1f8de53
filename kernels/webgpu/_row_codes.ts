// QUIK's quantization of one row by a workgroup, as statements: neighbors in x go to neighboring invocations, which hold
// their values in registers between the search for the range and the rounding, and put codes together by shuffles.
import { MIN_ACTIVATION_SCALE } from "../specs.ts";
import { range } from "./_decode.ts";

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
   * Statements that write the codes of an invocation, `code_h` for number `k(h)` of the row: unsigned, of `bits` bits.
   */
  store(count: number, k: (h: number) => string): string;
}

/** Declarations of the workgroup memory that `rowCodes` uses. */
export function rowCodesMemory(subgroups: number): string {
  return `
var<workgroup> lows: array<f32, ${subgroups}>;
var<workgroup> highs: array<f32, ${subgroups}>;`;
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

/** Statements that quantize the values that `readRow` read; `lane` is known. They hold one barrier. */
export function rowCodes(row: RowCodes): string {
  const { inner, bits, subgroups } = row;
  const k = codeNumber(row);
  const value = valueName(row);
  const held = range(heldCodes(row));
  const levels = 2 ** bits - 1;
  const extreme = (f: string): string => held.map(value).reduce((a, b) => `${f}(${a}, ${b})`);
  const all = (name: string, f: string): string =>
    range(subgroups).map((i) => `${name}[${i}]`).reduce((a, b) => `${f}(${a}, ${b})`);
  const code = (h: number): string =>
    `let level_${h} = i32(clamp(round((${value(h)} - zero) / scale), 0.0, ${levels}.0));
    let code_${h} = select(0u, bitcast<u32>(level_${h} - ${2 ** (bits - 1)}) & ${levels}u, ${
      k(h)
    } < ${inner}u);`;
  return `
    let low = subgroupMin(${extreme("min")});
    let high = subgroupMax(${extreme("max")});
    if (lane == 0u) { lows[local / 32u] = low; highs[local / 32u] = high; }
    workgroupBarrier();
    let zero = ${all("lows", "min")};
    let scale = max((${all("highs", "max")} - zero) / ${levels}.0, ${MIN_ACTIVATION_SCALE});
    if (local == 0u) { ${row.keep} }
    ${held.map(code).join("\n    ")}
    ${row.store(held.length, k)}`;
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
