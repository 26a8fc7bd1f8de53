// compressed-tensors checkpoints (vLLM's llm-compressor). Which of its formats a layer has, its tensors tell:
//
//   pack-quantized   weight_packed I32 [outputs, ceil(inputs * bits / 32)], weight_scale, weight_shape (, weight_zero_point,
//                    weight_g_idx)
//   int-quantized    weight I8, weight_scale
//   float-quantized  weight F8_E4M3, weight_scale (mxfp8: U8 exponents)
//   nvfp4            weight_packed U8, weight_scale F8_E4M3 [outputs, inputs / 16], weight_global_scale
//   mxfp4            weight_packed U8, weight_scale U8 exponents [outputs, inputs / 32]
import {
  decodeArray,
  float16,
  float4E2M1,
  float8E4M3,
  float8E8M0,
  int8,
  type NumberFormat,
  unpack,
} from "../formats/mod.ts";
import { type BlockGrid, gridOf, perBlock, type Quantized } from "../quant/mod.ts";
import { quantizedOf } from "./_affine_codes.ts";
import { readScales, readTyped, unpackWords } from "./_read_typed.ts";
import { tensorInfo, type TensorReader } from "./tensor.ts";

/** Block of DeepSeek's float8 layout, the only one whose last block may be ragged. */
const SQUARE_BLOCK = 128;

/** Reads the weight of a layer, or gives undefined where it has no `weight_scale`. */
export async function readCompressedTensorsLinear(
  reader: TensorReader,
  name: string,
  config: Readonly<Record<string, unknown>>,
): Promise<Quantized | undefined> {
  const scale = reader.tensors.get(`${name}.weight_scale`);
  if (!scale) return undefined;
  const packed = reader.tensors.get(`${name}.weight_packed`);
  if (packed?.type === "I32") return await readPacked(reader, name, widthsOf(config));
  if (packed) return await readFloat4(reader, name);
  const weight = tensorInfo(reader, `${name}.weight`);
  if (weight.type === "I8") return await readBytesLayer(reader, name, int8);
  if (weight.type === "F8_E4M3") return await readBytesLayer(reader, name, float8E4M3);
  throw new TypeError(`Cannot read ${name}: a weight of type ${weight.type} with a scale is no known format`);
}

/** The widths that the groups of the configuration name; the shape of a layer's words tells which one it has. */
function widthsOf(config: Readonly<Record<string, unknown>>): number[] {
  const groups = Object.values(config.config_groups ?? {}) as { weights?: { num_bits?: unknown } | null }[];
  return groups.map((group) => Number(group?.weights?.num_bits));
}

async function readPacked(
  reader: TensorReader,
  name: string,
  widths: readonly number[],
): Promise<Quantized> {
  const shape = new BigInt64Array(
    await readTyped(reader, `${name}.weight_shape`, { type: "I64", shape: [2] }),
  );
  const [rows, cols] = Array.from(shape, Number);
  const [, wordsPerRow] = tensorInfo(reader, `${name}.weight_packed`).shape;
  const bits = widths.find((width) => Math.ceil(cols * width / 32) === wordsPerRow);
  if (bits === undefined) {
    throw new RangeError(
      `Cannot read ${name}.weight_packed: ${wordsPerRow} words do not hold rows of ${cols} codes of ` +
        `${widths.join(" or ") || "unknown"} bits`,
    );
  }
  const words = new Uint32Array(
    await readTyped(reader, `${name}.weight_packed`, { type: "I32", shape: [rows, wordsPerRow] }),
  );
  const codes = new Uint8Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    codes.set(unpackWords(words, { bits, count: cols, first: row * wordsPerRow }), row * cols);
  }
  const scaleInfo = tensorInfo(reader, `${name}.weight_scale`);
  const groups = scaleInfo.shape[1] ?? 1;
  const scale = await readScales(reader, scaleInfo.name, [rows, groups]);
  const groupOf = `${name}.weight_g_idx`;
  return quantizedOf({
    rows,
    cols,
    bits,
    codes,
    groupSize: Math.ceil(cols / groups),
    scale,
    zeros: await readPackedZeros(reader, name, { bits, rows, groups }),
    groupOf: reader.tensors.has(groupOf)
      ? new Int32Array(await readTyped(reader, groupOf, { type: "I32", shape: [cols] }))
      : undefined,
    scaleFormat: scaleInfo.type === "F16" ? float16 : undefined,
  });
}

/** Zero points as unsigned codes, packed down the outputs; the middle of the range where there are none. */
async function readPackedZeros(
  reader: TensorReader,
  name: string,
  layout: { readonly bits: number; readonly rows: number; readonly groups: number },
): Promise<Float32Array<ArrayBuffer>> {
  const { bits, rows, groups } = layout;
  const zeros = new Float32Array(rows * groups).fill(2 ** (bits - 1));
  const tensorName = `${name}.weight_zero_point`;
  if (!reader.tensors.has(tensorName)) return zeros;
  const shape = [Math.ceil(rows * bits / 32), groups];
  const words = new Uint32Array(await readTyped(reader, tensorName, { type: "I32", shape }));
  for (let group = 0; group < groups; group++) {
    const column = unpackWords(words, { bits, count: rows, first: group, stride: groups });
    column.forEach((zero, row) => zeros[row * groups + group] = zero);
  }
  return zeros;
}

/** A weight of one byte per code: int8 and float8, with scales per tensor, channel, group or block. */
async function readBytesLayer(
  reader: TensorReader,
  name: string,
  format: NumberFormat,
): Promise<Quantized> {
  const { shape: [rows, cols] } = tensorInfo(reader, `${name}.weight`);
  const scaleInfo = tensorInfo(reader, `${name}.weight_scale`);
  const exponents = scaleInfo.type === "U8";
  const scale = exponents
    ? decodeArray(float8E8M0, await reader.readBytes(scaleInfo.name))
    : await readScales(reader, scaleInfo.name, scaleInfo.shape);
  if (reader.tensors.has(`${name}.weight_zero_point`)) {
    throw new TypeError(`Cannot read ${name}: zero points beside one-byte codes are not supported`);
  }
  const codes = await reader.readBytes(`${name}.weight`);
  const levels = { min: format.min, max: format.max };
  const grid = gridOfScale(scaleInfo.shape, rows, cols);
  return { codes, qparams: { format, grid, scale, levels, scaleFormat: exponents ? float8E8M0 : undefined } };
}

/** The tiling that a scale's shape means: `[]` or `[1]` one, `[outputs, groups]` rows, else square blocks. */
function gridOfScale(shape: readonly number[], rows: number, cols: number): BlockGrid {
  const [gridRows = 1, gridCols = 1] = shape;
  const extent = (size: number, count: number) =>
    Math.ceil(size / SQUARE_BLOCK) === count && count > 1 ? SQUARE_BLOCK : Math.ceil(size / count);
  const isSquare = gridRows > 1 && gridRows < rows;
  const blockCols = isSquare ? extent(cols, gridCols) : Math.ceil(cols / gridCols);
  const grid = gridOf(perBlock(isSquare ? extent(rows, gridRows) : Math.ceil(rows / gridRows), blockCols), {
    rows,
    cols,
  });
  if (grid.gridRows !== gridRows || grid.gridCols !== gridCols) {
    throw new RangeError(`Cannot lay scales [${shape.join(", ")}] over a weight [${rows}, ${cols}]`);
  }
  return grid;
}

/** nvfp4 and mxfp4: two codes per byte, the even one low; the global scale divides. */
async function readFloat4(reader: TensorReader, name: string): Promise<Quantized> {
  const { shape: [rows, bytesPerRow] } = tensorInfo(reader, `${name}.weight_packed`);
  const cols = bytesPerRow * 2;
  const packed = new Uint8Array(
    await readTyped(reader, `${name}.weight_packed`, { type: "U8", shape: [rows, bytesPerRow] }),
  );
  const scaleInfo = tensorInfo(reader, `${name}.weight_scale`);
  const grid = gridOfScale(scaleInfo.shape, rows, cols);
  const format = float4E2M1;
  const qparams = { format, grid, levels: { min: format.min, max: format.max } };
  const codes = unpack(packed, 4, rows * cols);
  if (scaleInfo.type === "U8") {
    const scale = decodeArray(float8E8M0, await reader.readBytes(scaleInfo.name));
    return { codes, qparams: { ...qparams, scale, scaleFormat: float8E8M0 } };
  }
  const local = await readScales(reader, scaleInfo.name, scaleInfo.shape);
  const [global] = await readScales(reader, `${name}.weight_global_scale`, [1]);
  return { codes, qparams: { ...qparams, scale: local.map((scale) => scale / global) } };
}
