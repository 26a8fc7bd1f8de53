// A directory that appears whole or not at all: filled under a temporary name beside its place, then renamed.
import { writeFileAtomically } from "./_write_file.ts";

/**
 * Throws unless a directory can be made or is empty.
 *
 * @param directory Path.
 * @throws {RangeError} If it exists and holds something, or is a file.
 */
export async function requireEmptyDirectory(directory: string): Promise<void> {
  const { readdir } = await import("node:fs/promises");
  const entries = await readdir(directory).catch((error: { code?: string }) => {
    if (error.code === "ENOENT") return [];
    throw new RangeError(`Cannot write to ${directory}: it is not a directory`);
  });
  if (entries.length > 0) throw new RangeError(`Cannot write to ${directory}: it exists and is not empty`);
}

/**
 * Writes a directory. A failure on the way leaves nothing behind.
 *
 * @param directory Path that does not exist, or an empty directory.
 * @param fill Writes the files into the temporary directory whose path it is given.
 * @throws {RangeError} If the directory exists and is not empty.
 */
export async function writeDirectory(
  directory: string,
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  await requireEmptyDirectory(directory);
  const { mkdir, rename, rm } = await import("node:fs/promises");
  const { basename, dirname, join, resolve } = await import("node:path");
  const target = resolve(directory);
  const temporary = join(dirname(target), `.${basename(target)}.${crypto.randomUUID().slice(0, 8)}.part`);
  try {
    await mkdir(temporary, { recursive: true });
    await fill(temporary);
    await rm(target, { recursive: true, force: true });
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Writes a small file whole, atomically.
 *
 * @param path Path of the file; an existing one is replaced.
 * @param contents Bytes, or a text to be stored as UTF-8.
 */
export async function writeSmallFile(
  path: string,
  contents: Uint8Array<ArrayBuffer> | string,
): Promise<void> {
  const bytes = typeof contents === "string" ? new TextEncoder().encode(contents) : contents;
  await writeFileAtomically(path, [bytes]);
}
