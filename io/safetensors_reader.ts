// Reads one safetensors file: the header at once, each tensor when asked for.
import { toFloat32 } from "./_to_float32.ts";
import { type Header, LENGTH_BYTES, MAX_HEADER_BYTES, parseHeader } from "./_header.ts";
import type { ByteSource } from "./byte_source.ts";
import { tensorInfo, type TensorReader } from "./tensor.ts";

/**
 * Opens a safetensors file. The header is checked against the file's size: types, shapes, offsets, holes, overlaps,
 * duplicate names; no length in the file is trusted. Tensors are read when asked for.
 *
 * @param source The bytes of the file. The reader owns it from now on, and closes it if the header is bad.
 * @returns The reader.
 * @throws {SyntaxError} If the header is malformed or lies; one line that names the file.
 *
 * @example Usage
 * ```ts
 * import { encodeSafetensors, memorySource, openSafetensors } from "@quik/quant/io";
 * import { assertEquals } from "@std/assert";
 *
 * const file = await encodeSafetensors([{ name: "a", type: "F32", shape: [1, 2], data: Float32Array.of(1, 2) }]);
 * await using reader = await openSafetensors(memorySource(file));
 * assertEquals(reader.tensors.get("a")!.shape, [1, 2]);
 * assertEquals(await reader.readFloat32("a"), Float32Array.of(1, 2));
 * ```
 */
export async function openSafetensors(source: ByteSource): Promise<TensorReader> {
  try {
    const dataStart = LENGTH_BYTES + await readHeaderLength(source);
    const headerBytes = await source.read(LENGTH_BYTES, dataStart - LENGTH_BYTES);
    return makeReader(source, parseHeader(headerBytes, source.size - dataStart), dataStart);
  } catch (error) {
    await source.close();
    if (!(error instanceof SyntaxError)) throw error;
    throw new SyntaxError(`Cannot read ${source.name} as safetensors: ${error.message}`, { cause: error });
  }
}

async function readHeaderLength(source: ByteSource): Promise<number> {
  if (source.size < LENGTH_BYTES) throw new SyntaxError(`it has only ${source.size} bytes`);
  const bytes = await source.read(0, LENGTH_BYTES);
  const length = new DataView(bytes.buffer).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw new SyntaxError(`its header claims ${length} bytes, more than ${MAX_HEADER_BYTES}`);
  }
  const available = source.size - LENGTH_BYTES;
  if (length > BigInt(available)) {
    throw new SyntaxError(`its header claims ${length} bytes, ${available} follow: it is truncated`);
  }
  return Number(length);
}

function makeReader(source: ByteSource, header: Header, dataStart: number): TensorReader {
  const reader: TensorReader = {
    name: source.name,
    metadata: header.metadata,
    tensors: header.entries,
    async readBytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
      const { byteLength } = tensorInfo(reader, name);
      return await source.read(dataStart + header.entries.get(name)!.begin, byteLength);
    },
    async readFloat32(name: string): Promise<Float32Array<ArrayBuffer>> {
      return toFloat32(await reader.readBytes(name), tensorInfo(reader, name).type);
    },
    close: () => source.close(),
    [Symbol.asyncDispose]: () => source.close(),
  };
  return reader;
}
