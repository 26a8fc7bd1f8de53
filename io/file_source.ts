// Byte sources over files, for Deno and Node. The file system is imported when first used, so that a browser can
// load everything else of this room.
import { type ByteSource, checkRange, type FileSet, withDispose } from "./byte_source.ts";

/**
 * Opens a file for reading in ranges.
 *
 * @param path Path of the file.
 * @returns The source; close it (or bind it with `await using`).
 * @throws {Error} If the path cannot be opened or is no regular file; the message names it.
 *
 * @example Usage
 * ```ts
 * import { openFileSource } from "@quik/quant/io";
 * import { assertEquals } from "@std/assert";
 *
 * await using source = await openFileSource("deno.json");
 * assertEquals(new TextDecoder().decode(await source.read(0, 1)), "{");
 * ```
 */
export async function openFileSource(path: string): Promise<ByteSource> {
  const { open } = await import("node:fs/promises");
  const file = await open(path, "r").catch((error) => {
    throw new Error(`Cannot open ${path}: ${reason(error)}`, { cause: error });
  });
  const stat = await file.stat();
  if (!stat.isFile()) {
    await file.close();
    throw new Error(`Cannot open ${path}: it is not a file`);
  }
  const base = { name: path, size: stat.size };
  let closed = false;
  return withDispose({
    ...base,
    async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
      checkRange(base, offset, length);
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) throw new RangeError(`Cannot read ${path}: it became shorter while being read`);
        done += bytesRead;
      }
      return bytes;
    },
    async close(): Promise<void> {
      if (closed) return;
      closed = true;
      await file.close();
    },
  });
}

/**
 * A folder on disk as a set of files.
 *
 * @param path Path of the folder.
 * @returns The set; nothing is held open.
 */
export function openDirectory(path: string): FileSet {
  const join = (fileName: string) => `${path.replace(/[/\\]+$/, "")}/${fileName}`;
  return {
    name: path,
    async has(fileName: string): Promise<boolean> {
      const { stat } = await import("node:fs/promises");
      return await stat(join(fileName)).then((found) => found.isFile(), () => false);
    },
    open: (fileName: string): Promise<ByteSource> => openFileSource(join(fileName)),
  };
}

/** The part of a file system error that a person needs. */
function reason(error: unknown): string {
  const code = (error as { code?: string }).code;
  if (code === "ENOENT") return "no such file";
  if (code === "EACCES") return "permission denied";
  if (code === "EISDIR") return "it is not a file";
  return error instanceof Error ? error.message : String(error);
}
