// Writes safetensors files. Data may be produced when their turn comes, so a model larger than memory can be written.
import { LENGTH_BYTES, MAX_HEADER_BYTES } from "./_header.ts";
import { writeFileAtomically } from "./_write_file.ts";
import { elementCount, TENSOR_TYPE_BYTES, type TensorType } from "./tensor.ts";

/** Bytes of a tensor: a view of any type, whose bytes are written as they are. */
export type TensorData = ArrayBufferView<ArrayBuffer>;

/** A tensor to write. */
export interface TensorToWrite {
  /** Its name in the file. */
  readonly name: string;
  /** Element type. */
  readonly type: TensorType;
  /** Dimensions, outermost first. */
  readonly shape: readonly number[];
  /** Row-major elements, or a function that produces them when the tensor is written. */
  readonly data: TensorData | (() => TensorData | Promise<TensorData>);
}

/** Options of {@linkcode writeSafetensors} and {@linkcode encodeSafetensors}. */
export interface SafetensorsWriteOptions {
  /** String metadata; `format: "pt"`, which other readers ask for, is added. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * Writes a safetensors file. It is written under a temporary name in the same folder and renamed when complete, so
 * that no reader ever sees a partial file and an error leaves nothing behind.
 *
 * @param path Path of the file; an existing one is replaced.
 * @param tensors The tensors. Stored by falling element size and then by name, so that every tensor is aligned.
 * @param options Metadata.
 * @throws {TypeError} If two tensors share a name.
 * @throws {RangeError} If a tensor's data do not have the size that its type and shape say.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  options: SafetensorsWriteOptions = {},
): Promise<void> {
  await writeFileAtomically(path, chunks(tensors, options));
}

/**
 * The bytes of a safetensors file, for a download or a test.
 *
 * @param tensors The tensors.
 * @param options Metadata.
 * @returns The file.
 * @throws {TypeError} If two tensors share a name.
 * @throws {RangeError} If a tensor's data do not have the size that its type and shape say.
 */
export async function encodeSafetensors(
  tensors: Iterable<TensorToWrite>,
  options: SafetensorsWriteOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const part of chunks(tensors, options)) parts.push(part);
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function* chunks(
  tensors: Iterable<TensorToWrite>,
  options: SafetensorsWriteOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const ordered = [...tensors].sort((a, b) =>
    TENSOR_TYPE_BYTES[b.type] - TENSOR_TYPE_BYTES[a.type] || (a.name < b.name ? -1 : 1)
  );
  yield encodeHeader(ordered, options.metadata ?? {});
  for (const tensor of ordered) {
    const data = typeof tensor.data === "function" ? await tensor.data() : tensor.data;
    const expected = byteLength(tensor);
    if (data.byteLength !== expected) {
      throw new RangeError(
        `Cannot write tensor ${tensor.name} of ${tensor.type} [${tensor.shape.join(", ")}]: ` +
          `it needs ${expected} bytes, its data have ${data.byteLength}`,
      );
    }
    yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
}

function encodeHeader(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const entries = new Map<string, unknown>([["__metadata__", { format: "pt", ...metadata }]]);
  let begin = 0;
  for (const tensor of tensors) {
    if (entries.has(tensor.name)) {
      throw new TypeError(`Cannot write tensor ${tensor.name}: the name is taken`);
    }
    const end = begin + byteLength(tensor);
    entries.set(tensor.name, { dtype: tensor.type, shape: tensor.shape, data_offsets: [begin, end] });
    begin = end;
  }
  // Written by hand because an object literal cannot hold every name, `__proto__` for one.
  const fields = [...entries].map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  const json = new TextEncoder().encode(`{${fields.join(",")}}`);
  const padded = Math.ceil(json.length / LENGTH_BYTES) * LENGTH_BYTES;
  if (padded > MAX_HEADER_BYTES) throw new RangeError(`Cannot write a header of ${padded} bytes`);
  const bytes = new Uint8Array(LENGTH_BYTES + padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(json, LENGTH_BYTES);
  return bytes;
}

function byteLength(tensor: TensorToWrite): number {
  return elementCount(tensor.shape) * TENSOR_TYPE_BYTES[tensor.type];
}
