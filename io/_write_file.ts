// A file appears whole or not at all: written under a temporary name in the same folder, then renamed.

/**
 * Writes chunks to a file, atomically.
 *
 * @param path Path of the file; an existing one is replaced.
 * @param chunks What to write, in order. If producing one fails, nothing is left behind.
 */
export async function writeFileAtomically(
  path: string,
  chunks: AsyncIterable<Uint8Array<ArrayBuffer>> | Iterable<Uint8Array<ArrayBuffer>>,
): Promise<void> {
  const { open, rename, rm } = await import("node:fs/promises");
  const temporary = `${path}.${crypto.randomUUID()}.part`;
  try {
    const file = await open(temporary, "wx");
    try {
      for await (const chunk of chunks) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
