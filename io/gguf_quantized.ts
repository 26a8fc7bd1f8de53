// GGUF blocks as a quantized matrix, so that a weight stays in the bits that its file gives it.
import {
  decodeArray,
  defineInteger,
  float16,
  float4E2M1,
  float8E8M0,
  int4,
  int8,
  iq4nlLevels,
  type NumberFormat,
} from "../formats/mod.ts";
import { createMatrix, gridOf, perGroup, quantize, type Quantized } from "../quant/mod.ts";
import type { GgufReader } from "./gguf_reader.ts";
import { GGUF_TYPES, type GgufType } from "./gguf_types.ts";
import { tensorInfo } from "./tensor.ts";

/** Blocks of one or more groups, each with a scale: `level * scale`. */
interface ScaledBlocks {
  readonly format: NumberFormat;
  readonly scaleFormat?: NumberFormat;
  readonly groupSize: number;
  /** The scales of the groups of a block. */
  readonly scales: (block: DataView<ArrayBuffer>) => number[];
}

const halfAt = (block: DataView<ArrayBuffer>, at: number): number =>
  decodeArray(float16, Uint16Array.of(block.getUint16(at, true)))[0];

const firstHalf = (block: DataView<ArrayBuffer>): number[] => [halfAt(block, 0)];

/** Sixteen int8 scales of 16 values each, and the scale of these. */
const q6Scales = (block: DataView<ArrayBuffer>): number[] => {
  const scale = halfAt(block, 208);
  return Array.from({ length: 16 }, (_, i) => Math.fround(scale * block.getInt8(192 + i)));
};

const SCALED: Partial<Record<GgufType, ScaledBlocks>> = {
  Q4_0: { format: int4, scaleFormat: float16, groupSize: 32, scales: firstHalf },
  Q5_0: {
    format: defineInteger({ bits: 5, signed: true }),
    scaleFormat: float16,
    groupSize: 32,
    scales: firstHalf,
  },
  Q8_0: { format: int8, scaleFormat: float16, groupSize: 32, scales: firstHalf },
  IQ4_NL: { format: iq4nlLevels, scaleFormat: float16, groupSize: 32, scales: firstHalf },
  Q6_K: { format: defineInteger({ bits: 6, signed: true }), groupSize: 16, scales: q6Scales },
  MXFP4: {
    format: float4E2M1,
    scaleFormat: float8E8M0,
    groupSize: 32,
    scales: (block) => [2 ** (block.getUint8(0) - 127)],
  },
};

/**
 * Reads a matrix of a GGUF file as codes and scales, exactly as it is stored.
 *
 * @param reader The file.
 * @param name Name of the tensor, of two dimensions.
 * @returns The quantized matrix, or undefined where its type is not one scale per group (plain types and those with
 * minima).
 * @throws {RangeError} If there is no such tensor, or a scale is not finite.
 */
export async function readGgufQuantized(reader: GgufReader, name: string): Promise<Quantized | undefined> {
  const { type, shape: [rows, cols] } = tensorInfo(reader, name);
  const blocks = SCALED[type];
  if (!blocks) return undefined;
  const { format, scaleFormat, groupSize } = blocks;
  const { blockBytes } = GGUF_TYPES[type];
  const bytes = await reader.readBytes(name);
  const scale = Float32Array.from(
    Array.from(
      { length: bytes.length / blockBytes },
      (_, i) => blocks.scales(new DataView(bytes.buffer, i * blockBytes, blockBytes)),
    ).flat(),
  );
  const bad = scale.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new RangeError(`Cannot read ${name} from ${reader.name}: scale ${bad} is ${scale[bad]}`);
  }
  const values = createMatrix(rows, cols, await reader.readFloat32(name));
  const grid = gridOf(perGroup(groupSize), values);
  // Values on a grid round to the codes they came from. A scale of zero is one of any codes: those of zero.
  const divisor = scale.map((value) => value === 0 ? 1 : value);
  const levels = { min: format.min, max: format.max };
  return quantize(values, { format, grid, scale: divisor, levels, scaleFormat });
}
