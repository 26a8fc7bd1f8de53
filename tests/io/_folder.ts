// A temporary folder for the time of a test.

/** Runs a test with the path of an empty folder, which is removed afterwards. */
export async function withFolder(test: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempDir();
  try {
    await test(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}
