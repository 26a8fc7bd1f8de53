// Reads GGUF files, llama.cpp's format: metadata and tensor table at once, each tensor when asked for.
import { NeedMoreBytes, parseGgufHeader } from "./_gguf_header.ts";
import { ggufToFloat32 } from "./_gguf_to_float32.ts";
import type { ByteSource } from "./byte_source.ts";
import type { GgufTensorInfo, GgufValue } from "./gguf_types.ts";
import { tensorInfo, type TensorReader } from "./tensor.ts";

/** An open GGUF file. `readBytes` gives rows of elements or blocks, as they are stored. */
export type GgufReader = TensorReader<GgufTensorInfo, GgufValue>;

/** How much of the file is read at first; doubled until the header is whole. */
const FIRST_READ = 2 ** 20;

/**
 * Opens a GGUF file, version 2 or 3. Types, shapes, offsets, names and counts are checked against the file's size.
 *
 * @param source The bytes of the file. The reader owns it from now on, and closes it if the header is bad.
 * @returns The reader.
 * @throws {SyntaxError} If the header is malformed or lies; one line that names the file.
 *
 * @example Usage
 * ```ts
 * import { openFileSource, openGguf } from "@quik/quant/io";
 * import { assertEquals } from "@std/assert";
 *
 * await using reader = await openGguf(await openFileSource("tests/fixtures/gguf/blocks.gguf"));
 * assertEquals(reader.metadata.get("general.architecture"), "llama");
 * assertEquals(reader.tensors.get("Q4_0")!.shape, [3, 64]);
 * assertEquals((await reader.readFloat32("Q4_0")).length, 3 * 64);
 * ```
 */
export async function openGguf(source: ByteSource): Promise<GgufReader> {
  try {
    return makeReader(source, await readHeader(source));
  } catch (error) {
    await source.close();
    if (!(error instanceof SyntaxError)) throw error;
    throw new SyntaxError(`Cannot read ${source.name} as GGUF: ${error.message}`, { cause: error });
  }
}

async function readHeader(source: ByteSource): Promise<ReturnType<typeof parseGgufHeader>> {
  for (let length = FIRST_READ;; length *= 2) {
    const bytes = await source.read(0, Math.min(length, source.size));
    try {
      return parseGgufHeader(bytes, source.size);
    } catch (error) {
      if (!(error instanceof NeedMoreBytes)) throw error;
    }
  }
}

function makeReader(source: ByteSource, header: ReturnType<typeof parseGgufHeader>): GgufReader {
  const infoOf = (name: string) => tensorInfo({ name: source.name, tensors: header.tensors }, name);
  const readBytes = async (name: string) => {
    const { begin, byteLength } = infoOf(name);
    return await source.read(begin, byteLength);
  };
  return {
    name: source.name,
    metadata: header.metadata,
    tensors: header.tensors,
    readBytes,
    readFloat32: async (name) => ggufToFloat32(await readBytes(name), infoOf(name)),
    close: () => source.close(),
    [Symbol.asyncDispose]: () => source.close(),
  };
}
