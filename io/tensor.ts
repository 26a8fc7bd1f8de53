// What every reader of this room offers: named tensors of known type and shape, read one at a time.

/** Element types of stored tensors, in safetensors spelling. */
export type TensorType =
  | "BOOL"
  | "U8"
  | "I8"
  | "U16"
  | "I16"
  | "U32"
  | "I32"
  | "U64"
  | "I64"
  | "F16"
  | "BF16"
  | "F32"
  | "F64"
  | "F8_E4M3"
  | "F8_E5M2"
  | "F8_E8M0";

/** Bytes of one element of each type. */
export const TENSOR_TYPE_BYTES: Readonly<Record<TensorType, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  U16: 2,
  I16: 2,
  U32: 4,
  I32: 4,
  U64: 8,
  I64: 8,
  F16: 2,
  BF16: 2,
  F32: 4,
  F64: 8,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
};

/** What is known of a tensor before its data are read. */
export interface TensorInfo {
  /** Its name in the checkpoint. */
  readonly name: string;
  /** Element type. */
  readonly type: TensorType;
  /** Dimensions, outermost first; empty for a scalar. */
  readonly shape: readonly number[];
  /** Bytes of its data: the product of the shape times the element's size. */
  readonly byteLength: number;
}

/** Named tensors that are read lazily. A format may say more of each tensor, and have other metadata than text. */
export interface TensorReader<Info = TensorInfo, Value = string> extends AsyncDisposable {
  /** What error messages call it: a file or a folder. */
  readonly name: string;
  /** Metadata of the file, empty if there is none. */
  readonly metadata: ReadonlyMap<string, Value>;
  /** All tensors by name. */
  readonly tensors: ReadonlyMap<string, Info>;
  /**
   * Reads the raw bytes of a tensor, row-major and little-endian, in a new array at offset 0 of its buffer.
   *
   * @throws {RangeError} If there is no tensor of this name.
   */
  readBytes(name: string): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Reads a tensor as float32, whatever its type. Integers beyond 2^24 and float64 are rounded, blocks dequantized. A
   * scale that another tensor holds, as beside 8-bit floats, is not applied.
   *
   * @throws {RangeError} If there is no tensor of this name.
   * @throws {TypeError} If its type cannot be converted here.
   */
  readFloat32(name: string): Promise<Float32Array<ArrayBuffer>>;
  /** Closes the files. */
  close(): Promise<void>;
}

/** Number of elements of a shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * The tensor of a name, or an error that says where it is missing.
 *
 * @param reader Where to look.
 * @param name Name of the tensor.
 * @returns What is known of it.
 * @throws {RangeError} If there is none.
 */
export function tensorInfo<Info>(
  reader: { readonly name: string; readonly tensors: ReadonlyMap<string, Info> },
  name: string,
): Info {
  const info = reader.tensors.get(name);
  if (!info) throw new RangeError(`Cannot read tensor ${name}: ${reader.name} does not have it`);
  return info;
}
