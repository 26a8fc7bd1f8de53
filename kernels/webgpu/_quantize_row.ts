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

/** Units of a row and part in workgroup memory: every invocation writes all codes that it holds, wanted or not. */
export function codesStride(spec: QuikLayerSpec, subgroups: number): number {
  const padded = weightUnits(spec) * 16 * unitParts(spec);
  return heldCodes({ padded, subgroups }) * 32 * subgroups * spec.weightBits / 128;
}

/** Units of a row of outliers in workgroup memory, likewise. */
export function halvesStride(spec: QuikLayerSpec, subgroups: number): number {
  return Math.max(1, outlierWords(spec, subgroups).length) * 8 * subgroups;
}

/** Bytes of workgroup memory. */
export function quantizedRowBytes(spec: QuikLayerSpec, subgroups: number): number {
  const units = codesStride(spec, subgroups) * unitParts(spec) + halvesStride(spec, subgroups);
  return spec.rows * (units * 16 + 8) + subgroups * 8;
}

/**
 * Declarations of `codes`, `halves` and `token`, which `quantizeRows` fills.
 *
 * @param spec The layer.
 * @param subgroups Subgroups of the workgroup.
 */
export function quantizedRowMemory(spec: QuikLayerSpec, subgroups: number): string {
  const { rows } = spec;
  return `
// Part p of unit u of row m is element (p * rows + m) * stride + u.
var<workgroup> codes: array<vec4<u32>, ${rows * codesStride(spec, subgroups) * unitParts(spec)}>;
var<workgroup> halves: array<vec4<u32>, ${rows * halvesStride(spec, subgroups)}>;
var<workgroup> token: array<vec2<f32>, ${rows}>;
${rowCodesMemory(subgroups)}`;
}

/** The two parts of quantizing all rows: what is read of x, and what is done with it. */
export interface RowQuantization {
  /** Statements; `local` is known. */
  readonly reads: string;
  /** Statements; `lane` is known. They end with a barrier. */
  readonly prologue: string;
}

/**
 * Quantizes all rows.
 *
 * @param spec The layer.
 * @param subgroups Subgroups of the workgroup.
 */
export function quantizeRows(spec: QuikLayerSpec, subgroups: number): RowQuantization {
  const { inner, outliers, activationBits } = spec;
  const padded = weightUnits(spec) * 16 * unitParts(spec);
  const rows = range(spec.rows).map((m): RowCodes => ({
    name: `${m}`,
    inner,
    bits: activationBits,
    padded,
    subgroups,
    start: `${m * (inner + outliers)}u`,
    keep: `token[${m}] = vec2<f32>(scale, zero);`,
    store: (count, k) => range(count).map((h) => storeWord(spec, subgroups, m, h, k(h))).join("\n    "),
  }));
  return {
    reads: [
      ...rows.map(readRow),
      ...(outliers > 0 ? rows.map((_, m) => readOutliers(spec, subgroups, m)) : []),
    ].join("\n  "),
    prologue: [
      ...(outliers > 0 ? rows.map((_, m) => writeOutliers(spec, subgroups, m)) : []),
      ...rows.map((row) => `{ ${rowCodes(row)}\n    workgroupBarrier(); }`),
    ].join("\n  "),
  };
}

/** Statements that write four codes, as int8, in the order of a weight's nibbles or bytes. All who have a word write it. */
function storeWord(spec: QuikLayerSpec, subgroups: number, m: number, h: number, k: string): string {
  const { inner, rows, activationBits, weightBits } = spec;
  const stride = codesStride(spec, subgroups);
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
function outlierWords(spec: QuikLayerSpec, subgroups: number): string[] {
  const threads = 32 * subgroups;
  return range(Math.ceil(outlierUnits(spec) * 4 / threads)).map((i) => `(local + ${i * threads}u)`);
}

/** Statements that read the outliers of row `m`. */
function readOutliers(spec: QuikLayerSpec, subgroups: number, m: number): string {
  const { inner, outliers } = spec;
  const value = (k: string): string =>
    `x[${m * (inner + outliers)}u + outlier_columns[min(${k}, ${outliers - 1}u)]]`;
  return outlierWords(spec, subgroups).map((word, i) =>
    `let outlier_${m}_${i} = vec2<f32>(${value(`2u * ${word}`)}, ${value(`2u * ${word} + 1u`)});`
  ).join(" ");
}

/** Statements that round them to float16, saturating. */
function writeOutliers(spec: QuikLayerSpec, subgroups: number, m: number): string {
  return outlierWords(spec, subgroups).map((word, i) => {
    const inside = `vec2<u32>(2u * ${word}, 2u * ${word} + 1u) < vec2<u32>(${spec.outliers}u)`;
    const half = `clamp(outlier_${m}_${i}, vec2<f32>(-65504.0), vec2<f32>(65504.0))`;
    return `halves[${
      m * halvesStride(spec, subgroups)
    }u + ${word} / 4u][${word} % 4u] = pack2x16float(select(vec2<f32>(0.0), ${half}, ${inside}));`;
  }).join(" ");
}
