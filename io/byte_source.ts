// Where bytes come from: a file, a blob or memory, read in ranges, so that readers of checkpoints run anywhere.

/** Bytes that can be read in ranges. */
export interface ByteSource extends AsyncDisposable {
  /** What error messages call it: a file name or an address. */
  readonly name: string;
  /** Number of bytes. */
  readonly size: number;
  /**
   * Reads exactly `length` bytes from `offset`, as a new array.
   *
   * @throws {RangeError} If the range does not lie inside the source.
   */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Releases what the source holds open. Calling it twice is allowed. */
  close(): Promise<void>;
}

/** A folder of byte sources: what a checkpoint is. */
export interface FileSet {
  /** What error messages call it: a path or an address. */
  readonly name: string;
  /** Whether a file of this name exists. */
  has(fileName: string): Promise<boolean>;
  /**
   * Opens a file.
   *
   * @throws {Error} If there is none of this name.
   */
  open(fileName: string): Promise<ByteSource>;
}

/**
 * Throws unless the range lies inside a source.
 *
 * @param source The source.
 * @param offset First byte.
 * @param length Number of bytes.
 * @throws {RangeError} If any byte of the range lies outside, or a number is not a non-negative safe integer.
 */
export function checkRange(source: Pick<ByteSource, "name" | "size">, offset: number, length: number): void {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!valid || length > source.size - offset) {
    throw new RangeError(
      `Cannot read ${length} bytes at ${offset} of ${source.name}: it holds ${source.size} bytes`,
    );
  }
}

/**
 * A source over bytes in memory.
 *
 * @param bytes The bytes; not copied until read.
 * @param options A name for error messages.
 * @returns The source.
 */
export function memorySource(
  bytes: Uint8Array<ArrayBuffer>,
  options: { readonly name?: string } = {},
): ByteSource {
  const base = { name: options.name ?? "memory", size: bytes.byteLength };
  return withDispose({
    ...base,
    read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
      return new Promise((resolve) => {
        checkRange(base, offset, length);
        resolve(bytes.slice(offset, offset + length));
      });
    },
    close: () => Promise.resolve(),
  });
}

/**
 * A source over a `Blob` or a `File` that a person chose in a browser.
 *
 * @param blob The blob.
 * @param options A name for error messages; a `File` brings its own.
 * @returns The source.
 */
export function blobSource(blob: Blob, options: { readonly name?: string } = {}): ByteSource {
  const base = { name: options.name ?? (blob instanceof File ? blob.name : "blob"), size: blob.size };
  return withDispose({
    ...base,
    async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
      checkRange(base, offset, length);
      return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
    },
    close: () => Promise.resolve(),
  });
}

/**
 * A folder in memory, for tests and for files that were downloaded or chosen by a person.
 *
 * @param files Bytes or a blob by file name.
 * @param options A name for error messages.
 * @returns The folder.
 */
export function memoryFiles(
  files: Readonly<Record<string, Uint8Array<ArrayBuffer> | Blob>>,
  options: { readonly name?: string } = {},
): FileSet {
  const name = options.name ?? "memory";
  return {
    name,
    has: (fileName) => Promise.resolve(Object.hasOwn(files, fileName)),
    open: (fileName) =>
      new Promise((resolve) => {
        if (!Object.hasOwn(files, fileName)) throw new Error(`Cannot open ${name}/${fileName}: no such file`);
        const file = files[fileName];
        const label = { name: `${name}/${fileName}` };
        resolve(file instanceof Blob ? blobSource(file, label) : memorySource(file, label));
      }),
  };
}

/**
 * Reads a whole source as UTF-8 text.
 *
 * @param source The source.
 * @param options `maxBytes`: the largest size accepted, 256 MiB unless told otherwise.
 * @returns The text.
 * @throws {RangeError} If the source is larger than `maxBytes`.
 * @throws {SyntaxError} If it is not UTF-8.
 */
export async function readText(
  source: ByteSource,
  options: { readonly maxBytes?: number } = {},
): Promise<string> {
  const maxBytes = options.maxBytes ?? 2 ** 28;
  if (source.size > maxBytes) {
    throw new RangeError(`Cannot read ${source.name} as text: ${source.size} bytes exceed ${maxBytes}`);
  }
  const bytes = await source.read(0, source.size);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new SyntaxError(`Cannot read ${source.name} as text: it is not valid UTF-8`);
  }
}

/** Adds the disposal of `await using` to a source that can be closed. */
export function withDispose(source: Omit<ByteSource, typeof Symbol.asyncDispose>): ByteSource {
  return { ...source, [Symbol.asyncDispose]: source.close };
}
