// QUIK's quantization of one row by a workgroup that keeps the row in its memory: it reads x in order and the numbers of the
// base columns at the same time, so that nothing waits for two reads one after the other, and gathers from memory. An
// invocation quantizes eight base columns that follow each other, so that it writes whole vectors of two words.
import { findRange, quantizedLevel } from "./_row_codes.ts";
import { range } from "./_range.ts";

/** One row, and what becomes of it. */
export interface StagedRow {
  /** Distinguishes the names of several rows. */
  readonly name: string;
  /** Base columns, a multiple of four. */
  readonly inner: number;
  /** Outlier columns, a multiple of four. */
  readonly outliers: number;
  /** Bits of a code. */
  readonly bits: 4 | 8;
  /** Codes to write, those beyond `inner` zero. */
  readonly padded: number;
  /** Subgroups of the workgroup. */
  readonly subgroups: number;
  /** Where the row starts in `x`, in vectors of four. */
  readonly start: number;
  /** Statements, run by one invocation, that keep `scale` and `zero`. */
  readonly keep: string;
  /** Codes of the two words that eight codes become, by their numbers among the eight. */
  readonly words: readonly [readonly number[], readonly number[]];
  /** Statements that write the two words of eight codes number `item`. */
  store(item: string, words: string): string;
  /** Statements that round four outliers of number `quad`. All invocations run them, also those beyond the last. */
  storeOutliers(quad: string, values: string): string;
}

/** Columns that an invocation quantizes together. */
const EIGHT = 8;
const LANES = ["x", "y", "z", "w"];

/** Values between neighbors of one of the eight: so that sixteen invocations write vectors to different banks. */
const stride = (length: number): number => 8 * Math.ceil(Math.ceil(length / EIGHT) / 8) + 4;

/** Bytes of workgroup memory that hold the row. */
export const stagedRowBytes = (length: number): number => EIGHT * stride(length) * 4;

/** Times that an invocation quantizes eight columns. */
export const stagedItems = ({ padded, subgroups }: Pick<StagedRow, "padded" | "subgroups">): number =>
  Math.ceil(padded / (EIGHT * 32 * subgroups));

/** Declares the memory of a row of `length` values. */
export function stagedRowMemory(length: number): string {
  return `
// Column k lies at number k / 8 of part k % 8.
var<workgroup> row_values: array<f32, ${EIGHT * stride(length)}>;
fn row_value(k: u32) -> f32 { return row_values[(k & 7u) * ${stride(length)}u + (k >> 3u)]; }`;
}

const item = ({ subgroups }: StagedRow, i: number): string => `(local + ${i * 32 * subgroups}u)`;
const vectorsOf = ({ inner, outliers }: StagedRow): number => (inner + outliers) / 4;
const times = ({ subgroups }: StagedRow, count: number): number[] =>
  range(Math.ceil(count / (32 * subgroups)));
const quadsOf = ({ outliers }: StagedRow): number => outliers / 4;

/** Statements that read a row; `local`, `x`, `base_columns` and `outlier_columns` are known, vectors of four. */
export function readStagedRow(row: StagedRow): string {
  const { name, inner, start } = row;
  const vectors = vectorsOf(row);
  return [
    ...times(row, vectors).map((i) =>
      `let read_${name}_${i} = x[${start}u + min(${item(row, i)}, ${vectors - 1}u)];`
    ),
    ...range(stagedItems(row)).flatMap((i) =>
      [0, 1].map((half) =>
        `let at_${name}_${i}_${half} = base_columns[min(${item(row, i)} * 2u + ${half}u, ${inner / 4 - 1}u)];`
      )
    ),
    ...times(row, quadsOf(row)).map((i) =>
      `let outlier_at_${name}_${i} = outlier_columns[min(${item(row, i)}, ${quadsOf(row) - 1}u)];`
    ),
  ].join("\n  ");
}

/** Statements that quantize what `readStagedRow` read; `lane` is known. They hold two barriers. */
export function stagedRowCodes(row: StagedRow): string {
  const { name, inner, outliers, bits, padded, words } = row;
  const vectors = vectorsOf(row);
  const part = stride(inner + outliers);
  const write = times(row, vectors).map((i) => {
    const to = `{ let to = (${item(row, i)} & 1u) * ${4 * part}u + (${item(row, i)} >> 1u);
      ${LANES.map((lane, j) => `row_values[to + ${j * part}u] = read_${name}_${i}.${lane};`).join(" ")} }`;
    return (i + 1) * 32 * row.subgroups <= vectors ? to : `if (${item(row, i)} < ${vectors}u) ${to}`;
  });
  const value = (i: number, j: number): string => `value_${i}_${j}`;
  const items = range(stagedItems(row));
  const values = items.flatMap((i) => range(EIGHT).map((j) => value(i, j)));
  // Beyond the last columns stand those, which do not change the range.
  const gather = items.flatMap((i) =>
    range(EIGHT).map((j) => `let ${value(i, j)} = row_value(at_${name}_${i}_${j >> 2}.${LANES[j & 3]});`)
  );
  const known = (i: number): boolean => padded === inner || (i + 1) * EIGHT * 32 * row.subgroups <= inner;
  const level = (i: number, j: number): string => {
    const found = quantizedLevel(value(i, j));
    return known(i)
      ? found
      : `select(${2 ** (bits - 1)}u, ${found}, ${item(row, i)} * 8u + ${j}u < ${inner}u)`;
  };
  const quad = (i: number): string =>
    `vec4<f32>(${LANES.map((lane) => `row_value(outlier_at_${name}_${i}.${lane})`).join(", ")})`;
  return `
    ${write.join("\n    ")}
    workgroupBarrier();
    ${gather.join("\n    ")}
    ${times(row, quadsOf(row)).map((i) => row.storeOutliers(item(row, i), quad(i))).join("\n    ")}
    ${findRange(row, values)}
    ${
    items.map((i) =>
      `{ ${range(EIGHT).map((j) => `let level_${j} = ${level(i, j)};`).join("\n      ")}
      ${row.store(item(row, i), `vec2<u32>(${words.map((codes) => signedBytes(bits, codes)).join(", ")})`)} }`
    ).join("\n    ")
  }`;
}

/** WGSL expression: a word of four signed codes from levels counted from 0. */
function signedBytes(bits: 4 | 8, codes: readonly number[]): string {
  const levels = codes.map((j, byte) => `((level_${j} & 255u) << ${8 * byte}u)`).join(" | ");
  if (bits === 8) return `(${levels}) ^ 0x80808080u`;
  // No byte borrows from its neighbor while its highest bit is set.
  return `(((${levels}) | 0x80808080u) - 0x08080808u) ^ 0x80808080u`;
}
