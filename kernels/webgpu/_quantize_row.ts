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

/** Eights of codes in a unit of a weight. */
export function unitEights({ weightBits }: QuikLayerSpec): number {
  return 16 / weightBits;
}

/** Codes of a row, with padding. */
const paddedCodes = (spec: QuikLayerSpec): number => weightUnits(spec) * 8 * unitEights(spec);

/** Units of a row in workgroup memory: every invocation writes all codes that it holds, wanted or not. What is added lets a
 * subgroup write to different banks. */
export function codesStride({ spec, subgroups, staged }: RowPlan): number {
  const row = { padded: paddedCodes(spec), subgroups };
  const eights = (staged ? stagedItems(row) : heldCodes(row) / 8) * 32 * subgroups;
  return 16 * Math.ceil(eights / unitEights(spec) / 16) + 16 / unitEights(spec);
}

/** Units of a row of outliers in workgroup memory. */
export function halvesStride({ spec }: RowPlan): number {
  return Math.max(1, outlierUnits(spec));
}

/** Fours of outliers of all rows in workgroup memory; beyond them, each invocation has a place for one that is not wanted. */
const halvesLength = (plan: RowPlan): number => 2 * plan.spec.rows * halvesStride(plan) + 32 * plan.subgroups;

/** Bytes of workgroup memory. */
export function quantizedRowBytes(plan: RowPlan): number {
  const { spec, subgroups, staged } = plan;
  const codes = spec.rows * codesStride(plan) * unitEights(spec);
  const row = staged ? stagedRowBytes(spec.inner + spec.outliers) : 0;
  return 8 * (codes + halvesLength(plan) + spec.rows + subgroups) + row;
}

/** Declarations of `codes`, `halves` and `token`, which `quantizeRows` fills. */
export function quantizedRowMemory(plan: RowPlan): string {
  const { spec, subgroups, staged } = plan;
  return `
// Eight number e of unit u of row m is element (e * rows + m) * stride + u; so are the two fours of eight outliers.
var<workgroup> codes: array<vec2<u32>, ${spec.rows * codesStride(plan) * unitEights(spec)}>;
var<workgroup> halves: array<vec2<u32>, ${halvesLength(plan)}>;
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
    store: (item, words) => `codes[${placeOfEight(plan, m, item)}] = ${words};`,
    storeOutliers: (quad, values) => storeHalves(plan, m, quad, values),
  }));
  return {
    reads: rows.map(readStagedRow).join("\n  "),
    prologue: rows.map((row) => `{ ${stagedRowCodes(row)}\n    workgroupBarrier(); }`).join("\n  "),
  };
}

/** WGSL expression: where eight codes number `item` of row `m` lie. */
function placeOfEight(plan: RowPlan, m: number, item: string): string {
  const eights = unitEights(plan.spec);
  const stride = codesStride(plan);
  return `(${item} % ${eights}u) * ${plan.spec.rows * stride}u + ${m * stride}u + ${item} / ${eights}u`;
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
    store: (count, k) => range(count).map((h) => storeEight(plan, m, h, k(h))).join("\n    "),
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

/** Statements that write eight codes, as int8, in the order of a weight's nibbles or bytes. */
function storeEight(plan: RowPlan, m: number, h: number, k: string): string {
  const { spec: { inner, activationBits, weightBits }, subgroups } = plan;
  const code = codeInside({ inner, subgroups }, h, `(level_${h} - ${2 ** (activationBits - 1)}u) & 255u`);
  const [word, other] = weightBits === 4
    ? [gatherWord(h, "8u * ((lane & 7u) >> 1u)", [2, 4]), 1]
    : [gatherWord(h, "8u * (lane & 3u)", [1, 2]), 4];
  return `{ let code_${h} = ${code}; ${word} let other = subgroupShuffleXor(word_${h}, ${other}u);
      if (lane % 8u == 0u) { codes[${
    placeOfEight(plan, m, `(${k} / 8u)`)
  }] = vec2<u32>(word_${h}, other); } }`;
}

/** Numbers of the fours of outliers that an invocation rounds. */
function outlierQuads({ spec, subgroups }: RowPlan): string[] {
  const threads = 32 * subgroups;
  return range(Math.ceil(2 * outlierUnits(spec) / threads)).map((i) => `(local + ${i * threads}u)`);
}

/** Statements that read the outliers of row `m`. */
function readOutliers(plan: RowPlan, m: number): string {
  const { inner, outliers } = plan.spec;
  const value = (k: string): string =>
    `x[${m * (inner + outliers)}u + outlier_columns[min(${k}, ${outliers - 1}u)]]`;
  return outlierQuads(plan).map((quad, i) =>
    `let outlier_${m}_${i} = vec4<f32>(${range(4).map((j) => value(`4u * ${quad} + ${j}u`)).join(", ")});`
  ).join(" ");
}

/** Statements that round them to float16. */
function writeOutliers(plan: RowPlan, m: number): string {
  return outlierQuads(plan).map((quad, i) => storeHalves(plan, m, quad, `outlier_${m}_${i}`)).join(" ");
}

/** Statements that keep four outliers of row `m` as float16, saturating, and zeros beyond the last. All invocations write: behind
 * a condition, a compiler was seen to read the numbers of their columns after everything else. */
function storeHalves(plan: RowPlan, m: number, quad: string, values: string): string {
  const { rows, outliers } = plan.spec;
  const stride = halvesStride(plan);
  const inside = `4u * ${quad} + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(${outliers}u)`;
  const half = `clamp(${values}, vec4<f32>(-65504.0), vec4<f32>(65504.0))`;
  const place = `(${quad} % 2u) * ${rows * stride}u + ${m * stride}u + ${quad} / 2u`;
  return `{ let kept = select(vec4<f32>(0.0), ${half}, ${inside});
      let wanted = ${quad} < ${2 * stride}u;
      halves[select(${2 * rows * stride}u + local, ${place}, wanted)] =
        vec2<u32>(pack2x16float(kept.xy), pack2x16float(kept.zw)); }`;
}
