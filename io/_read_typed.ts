// Tensors that must have one type and shape, because a layout says so.
import { tensorInfo, type TensorReader, type TensorType } from "./tensor.ts";

/**
 * Reads the bytes of a tensor after checking its type and shape.
 *
 * @param reader The checkpoint.
 * @param name Name of the tensor.
 * @param expected Its type and shape.
 * @returns Its bytes, for a typed array to view.
 * @throws {RangeError} If it is missing or has another type or shape.
 */
export async function readTyped(
  reader: TensorReader,
  name: string,
  expected: { readonly type: TensorType; readonly shape: readonly number[] },
): Promise<ArrayBuffer> {
  const { type, shape } = tensorInfo(reader, name);
  if (type !== expected.type || shape.join() !== expected.shape.join()) {
    throw new RangeError(
      `Cannot read ${name} as ${expected.type} [${expected.shape.join(", ")}]: it is ${type} [${
        shape.join(", ")
      }]`,
    );
  }
  return (await reader.readBytes(name)).buffer;
}

/**
 * Reads scales of any float type as float32, checking that they are finite.
 *
 * @param reader The checkpoint.
 * @param name Name of the tensor.
 * @param shape Its shape.
 * @returns The scales.
 * @throws {RangeError} If it is missing, has another shape, or a scale is NaN or infinite.
 */
export async function readScales(
  reader: TensorReader,
  name: string,
  shape: readonly number[],
): Promise<Float32Array<ArrayBuffer>> {
  const info = tensorInfo(reader, name);
  if (info.shape.join() !== shape.join()) {
    throw new RangeError(
      `Cannot read ${name}: its shape is [${info.shape.join(", ")}], not [${shape.join(", ")}]`,
    );
  }
  const scales = await reader.readFloat32(name);
  const bad = scales.findIndex((scale) => !Number.isFinite(scale));
  if (bad >= 0) throw new RangeError(`Cannot read ${name}: scale ${bad} is ${scales[bad]}`);
  return scales;
}

/** Where a run of packed codes lies among 32-bit words. */
export interface WordRun {
  /** Bits per code. */
  readonly bits: number;
  /** Number of codes. */
  readonly count: number;
  /** First word. Default 0. */
  readonly first?: number;
  /** Words from one word of the run to the next. Default 1. */
  readonly stride?: number;
}

/** Codes of a dense little-endian bit stream over words: code i is bits `[i * bits, i * bits + bits)`. */
export function unpackWords(words: Uint32Array<ArrayBuffer>, run: WordRun): Uint8Array<ArrayBuffer> {
  const { bits, count, first = 0, stride = 1 } = run;
  const mask = (1 << bits) - 1;
  const codes = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const at = first + (i * bits >>> 5) * stride;
    const shift = i * bits & 31;
    const low = words[at] >>> shift;
    // A code of 3 bits may begin in one word and end in the next.
    codes[i] = (shift + bits > 32 ? low | words[at + stride] << (32 - shift) : low) & mask;
  }
  return codes;
}
