// Activation quantization inside a decode kernel: a workgroup turns tokens into int8 codes in its own memory, in the order
// in which the codes of a weight unpack, while its first reads of the weight are on their way.
import type { QuikLayerSpec } from "../specs.ts";
import {
  codeInside,
  gatherWord,
  heldCodes,
  readRow,
  type RowCodes,
  rowCodes,
  rowCodesMemory,
} from "./_row_codes.ts";
import { range } from "./_range.ts";
import {
  readStagedRow,
  stagedItems,
  type StagedRow,
  stagedRowBytes,
  stagedRowCodes,
  stagedRowMemory,
} from "./_staged_row.ts";

/** How a workgroup quantizes its rows. */
export interface RowPlan {
  readonly spec: QuikLayerSpec;
  /** Subgroups of the workgroup. */
  readonly subgroups: number;
  /** Whether rows are kept in workgroup memory (`_staged_row.ts`), or read by the numbers of their columns. */
  readonly staged: boolean;
}

/** Whether the rows of a layer can be staged: columns are read by fours. */
export function canStage({ inner, outliers }: QuikLayerSpec): boolean {
  return inner % 4 === 0 && outliers % 4 === 0;
}

/** Units of 16 bytes of a row of weight codes. */
export function weightUnits({ inner, weightBits }: QuikLayerSpec): number {
  return Math.ceil(inner * weightBits / 128);
}

/** Units of 16 bytes of a row of float16 outliers. */
export function outlierUnits({ outliers }: QuikLayerSpec): number {
  return Math.ceil(outliers / 8);
}

/** Vectors of sixteen int8 that a unit of weight codes unpacks to: for nibbles, the even ones and the odd ones. */
export function unitParts({ weightBits }: QuikLayerSpec): number {
  return 8 / weightBits;
}

/** Codes of a row, with padding. */
const paddedCodes = (spec: QuikLayerSpec): number => weightUnits(spec) * 16 * unitParts(spec);

/** Units of a row and part in workgroup memory: every invocation writes all codes that it holds, wanted or not. */
export function codesStride({ spec, subgroups, staged }: RowPlan): number {
  const row = { padded: paddedCodes(spec), subgroups };
  return (staged ? 8 * stagedItems(row) : heldCodes(row)) * 32 * subgroups * spec.weightBits / 128;
}

/** Units of a row of outliers in workgroup memory, likewise. */
export function halvesStride(plan: RowPlan): number {
  return Math.max(1, outlierWords(plan).length) * 8 * plan.subgroups;
}

/** Bytes of workgroup memory. */
export function quantizedRowBytes(plan: RowPlan): number {
  const { spec, subgroups, staged } = plan;
  const units = codesStride(plan) * unitParts(spec) + halvesStride(plan);
  const row = staged ? stagedRowBytes(spec.inner + spec.outliers) : 0;
  return spec.rows * (units * 16 + 8) + subgroups * 8 + row;
}

/** Declarations of `codes`, `halves` and `token`, which `quantizeRows` fills. */
export function quantizedRowMemory(plan: RowPlan): string {
  const { spec, subgroups, staged } = plan;
  return `
// Part p of unit u of row m is element (p * rows + m) * stride + u.
var<workgroup> codes: array<vec4<u32>, ${spec.rows * codesStride(plan) * unitParts(spec)}>;
var<workgroup> halves: array<vec4<u32>, ${spec.rows * halvesStride(plan)}>;
var<workgroup> token: array<vec2<f32>, ${spec.rows}>;
${staged ? stagedRowMemory(spec.inner + spec.outliers) : ""}
${rowCodesMemory(subgroups)}`;
}

/** The two parts of quantizing all rows: what is read of x, and what is done with it. */
export interface RowQuantization {
  /** Statements; `local` is known. */
  readonly reads: string;
  /** Statements; `lane` is known. They end with a barrier. */
  readonly prologue: string;
}

/** Quantizes all rows. */
export function quantizeRows(plan: RowPlan): RowQuantization {
  return plan.staged ? quantizeStaged(plan) : quantizeGathered(plan);
}

function quantizeStaged(plan: RowPlan): RowQuantization {
  const { spec, subgroups } = plan;
  const { inner, outliers, activationBits, weightBits } = spec;
  const stride = codesStride(plan);
  const rows = range(spec.rows).map((m): StagedRow => ({
    name: `${m}`,
    inner,
    outliers,
    bits: activationBits,
    padded: paddedCodes(spec),
    subgroups,
    start: m * (inner + outliers) / 4,
    keep: `token[${m}] = vec2<f32>(scale, zero);`,
    words: weightBits === 4 ? [[0, 2, 4, 6], [1, 3, 5, 7]] : [[0, 1, 2, 3], [4, 5, 6, 7]],
    store: (item, w, value) =>
      weightBits === 4
        ? `codes[${(w * spec.rows + m) * stride}u + ${item} / 4u][${item} % 4u] = ${value};`
        : `codes[${m * stride}u + ${item} / 2u][${item} % 2u * 2u + ${w}u] = ${value};`,
    storeOutliers: (pair, values) => storeHalves(plan, m, pair, values),
  }));
  return {
    reads: rows.map(readStagedRow).join("\n  "),
    prologue: rows.map((row) => `{ ${stagedRowCodes(row)}\n    workgroupBarrier(); }`).join("\n  "),
  };
}

function quantizeGathered(plan: RowPlan): RowQuantization {
  const { spec, subgroups } = plan;
  const { inner, outliers, activationBits } = spec;
  const rows = range(spec.rows).map((m): RowCodes => ({
    name: `${m}`,
    inner,
    bits: activationBits,
    padded: paddedCodes(spec),
    subgroups,
    start: `${m * (inner + outliers)}u`,
    keep: `token[${m}] = vec2<f32>(scale, zero);`,
    store: (count, k) => range(count).map((h) => storeWord(plan, m, h, k(h))).join("\n    "),
  }));
  return {
    reads: [
      ...rows.map(readRow),
      ...(outliers > 0 ? rows.map((_, m) => readOutliers(plan, m)) : []),
    ].join("\n  "),
    prologue: [
      ...(outliers > 0 ? rows.map((_, m) => writeOutliers(plan, m)) : []),
      ...rows.map((row) => `{ ${rowCodes(row)}\n    workgroupBarrier(); }`),
    ].join("\n  "),
  };
}

/** Statements that write four codes, as int8, in the order of a weight's nibbles or bytes. All who have a word write it. */
function storeWord(plan: RowPlan, m: number, h: number, k: string): string {
  const { spec: { inner, rows, activationBits, weightBits }, subgroups } = plan;
  const stride = codesStride(plan);
  const code = codeInside({ inner, subgroups }, h, `(level_${h} - ${2 ** (activationBits - 1)}u) & 255u`);
  const nibbles = weightBits === 4;
  const word = nibbles
    ? gatherWord(h, "8u * ((lane & 7u) >> 1u)", [2, 4])
    : gatherWord(h, "8u * (lane & 3u)", [1, 2]);
  const index = nibbles ? `(${k} / 8u)` : `(${k} / 4u)`;
  const part = nibbles ? `(lane & 1u) * ${rows * stride}u + ` : "";
  return `{ let code_${h} = ${code}; ${word} codes[${part}${
    m * stride
  }u + ${index} / 4u][${index} % 4u] = word_${h}; }`;
}

/** Words of two outliers that an invocation rounds, by their numbers in the row. */
function outlierWords({ spec, subgroups }: RowPlan): string[] {
  const threads = 32 * subgroups;
  return range(Math.ceil(outlierUnits(spec) * 4 / threads)).map((i) => `(local + ${i * threads}u)`);
}

/** Statements that read the outliers of row `m`. */
function readOutliers(plan: RowPlan, m: number): string {
  const { inner, outliers } = plan.spec;
  const value = (k: string): string =>
    `x[${m * (inner + outliers)}u + outlier_columns[min(${k}, ${outliers - 1}u)]]`;
  return outlierWords(plan).map((word, i) =>
    `let outlier_${m}_${i} = vec2<f32>(${value(`2u * ${word}`)}, ${value(`2u * ${word} + 1u`)});`
  ).join(" ");
}

/** Statements that round them to float16. */
function writeOutliers(plan: RowPlan, m: number): string {
  return outlierWords(plan).map((word, i) => storeHalves(plan, m, word, `outlier_${m}_${i}`)).join(" ");
}

/** Statements that keep two outliers of row `m` as float16, saturating, and zeros beyond the last. */
function storeHalves(plan: RowPlan, m: number, word: string, values: string): string {
  const inside = `vec2<u32>(2u * ${word}, 2u * ${word} + 1u) < vec2<u32>(${plan.spec.outliers}u)`;
  const half = `clamp(${values}, vec2<f32>(-65504.0), vec2<f32>(65504.0))`;
  return `halves[${
    m * halvesStride(plan)
  }u + ${word} / 4u][${word} % 4u] = pack2x16float(select(vec2<f32>(0.0), ${half}, ${inside}));`;
}
