// Activation quantization inside a decode kernel: a workgroup turns tokens into int8 codes in its own memory, in the order
// in which the codes of a weight unpack, while its first reads of the weight are on their way.
import type { QuikLayerSpec } from "../specs.ts";
import { range } from "./_decode.ts";
import { gatherWord, readRow, type RowCodes, rowCodes, rowCodesMemory } from "./_row_codes.ts";

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

/** Bytes of workgroup memory. */
export function quantizedRowBytes(spec: QuikLayerSpec): number {
  const { rows } = spec;
  return rows * (weightUnits(spec) * unitParts(spec) + Math.max(1, outlierUnits(spec))) * 16 + 1024;
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
// Part p of unit u of row m is element (p * rows + m) * units + u.
var<workgroup> codes: array<vec4<u32>, ${rows * weightUnits(spec) * unitParts(spec)}>;
var<workgroup> halves: array<vec4<u32>, ${rows * Math.max(1, outlierUnits(spec))}>;
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
    store: (count, k) => range(count).map((h) => storeWord(spec, m, h, k(h), padded)).join("\n    "),
  }));
  return {
    reads: [
      ...rows.map(readRow),
      ...(outliers > 0 ? rows.map((_, m) => readOutliers(spec, 32 * subgroups, m)) : []),
    ].join("\n  "),
    prologue: [
      ...(outliers > 0 ? rows.map((_, m) => writeOutliers(spec, 32 * subgroups, m)) : []),
      ...rows.map((row) => `{ ${rowCodes(row)}\n    workgroupBarrier(); }`),
    ].join("\n  "),
  };
}

/** Statements that write four codes, as int8, in the order of a weight's nibbles or bytes. */
function storeWord(spec: QuikLayerSpec, m: number, h: number, k: string, padded: number): string {
  const units = weightUnits(spec);
  const byte = spec.activationBits === 8
    ? ""
    : `let code_${h} = bitcast<u32>(extractBits(bitcast<i32>(nibble_${h}), 0u, 4u)) & 255u;`;
  const nibbles = spec.weightBits === 4;
  const word = nibbles
    ? gatherWord(h, "8u * ((lane & 7u) >> 1u)", [2, 4])
    : gatherWord(h, "8u * (lane & 3u)", [1, 2]);
  const [first, index] = nibbles ? ["(lane & 7u) < 2u", `${k} / 8u`] : ["(lane & 3u) == 0u", `${k} / 4u`];
  const part = nibbles ? `(lane & 1u) * ${spec.rows * units}u + ` : "";
  return `{
      ${byte === "" ? "" : `let nibble_${h} = code_${h};`}
      {
        ${byte}
        ${word}
        if (${first} && ${k} < ${padded}u) {
          codes[${part}${m * units}u + (${index}) / 4u][(${index}) % 4u] = word_${h};
        }
      }
    }`;
}

/** Words of two outliers that an invocation rounds, by their numbers in the row. */
function outlierWords(spec: QuikLayerSpec, threads: number): string[] {
  return range(Math.ceil(outlierUnits(spec) * 4 / threads)).map((i) => `(local + ${i * threads}u)`);
}

/** Statements that read the outliers of row `m`. */
function readOutliers(spec: QuikLayerSpec, threads: number, m: number): string {
  const { inner, outliers } = spec;
  const value = (k: string): string =>
    `x[${m * (inner + outliers)}u + outlier_columns[min(${k}, ${outliers - 1}u)]]`;
  return outlierWords(spec, threads).map((word, i) =>
    `let outlier_${m}_${i} = vec2<f32>(${value(`2u * ${word}`)}, ${value(`2u * ${word} + 1u`)});`
  ).join(" ");
}

/** Statements that round them to float16, saturating. */
function writeOutliers(spec: QuikLayerSpec, threads: number, m: number): string {
  const units = outlierUnits(spec);
  return outlierWords(spec, threads).map((word, i) => {
    const inside = `vec2<u32>(2u * ${word}, 2u * ${word} + 1u) < vec2<u32>(${spec.outliers}u)`;
    const half = `clamp(outlier_${m}_${i}, vec2<f32>(-65504.0), vec2<f32>(65504.0))`;
    return `if (${word} < ${units * 4}u) { halves[${
      m * units
    }u + ${word} / 4u][${word} % 4u] = pack2x16float(select(vec2<f32>(0.0), ${half}, ${inside})); }`;
  }).join(" ");
}
