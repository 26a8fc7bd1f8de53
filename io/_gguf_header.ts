// The GGUF header: metadata and tensor table. Every count and length in it is a claim of the file and is checked
// before memory is taken or a loop begins. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
import { GGUF_TYPE_OF_ID, GGUF_TYPES } from "./gguf_types.ts";
import type { GgufTensorInfo, GgufValue } from "./gguf_types.ts";

/** Thrown when the header goes on behind the bytes that were read so far. */
export class NeedMoreBytes extends Error {
  override name = "NeedMoreBytes";
}

/** A checked header. */
export interface GgufHeader {
  readonly metadata: Map<string, GgufValue>;
  readonly tensors: Map<string, GgufTensorInfo & { readonly begin: number }>;
}

const DEFAULT_ALIGNMENT = 32;
const MAX_TENSOR_NAME = 63;
const MAX_DIMENSIONS = 4;
const MAX_ARRAY = 2 ** 30;
/** Smallest encodings, for bounding counts by the size of the file: key length and type; name, dimensions, type, offset. */
const MIN_ENTRY_BYTES = 13;
const MIN_TENSOR_BYTES = 24;

type ScalarReader = (cursor: Cursor) => GgufValue;

const SCALARS: Readonly<Record<number, ScalarReader>> = {
  0: (cursor) => cursor.view(1).getUint8(0),
  1: (cursor) => cursor.view(1).getInt8(0),
  2: (cursor) => cursor.view(2).getUint16(0, true),
  3: (cursor) => cursor.view(2).getInt16(0, true),
  4: (cursor) => cursor.view(4).getUint32(0, true),
  5: (cursor) => cursor.view(4).getInt32(0, true),
  6: (cursor) => cursor.view(4).getFloat32(0, true),
  7: (cursor) => readBoolean(cursor),
  8: (cursor) => cursor.text(),
  10: (cursor) => cursor.view(8).getBigUint64(0, true),
  11: (cursor) => cursor.view(8).getBigInt64(0, true),
  12: (cursor) => cursor.view(8).getFloat64(0, true),
};

const ARRAY = 9;

/**
 * Parses and checks a header.
 *
 * @param bytes The beginning of the file.
 * @param fileSize Size of the whole file.
 * @returns Metadata, and tensors with the file offset of their data.
 * @throws {NeedMoreBytes} If the header goes on behind `bytes`.
 * @throws {SyntaxError} If anything in it is malformed or disagrees with the file's size.
 */
export function parseGgufHeader(bytes: Uint8Array<ArrayBuffer>, fileSize: number): GgufHeader {
  const cursor = new Cursor(bytes, fileSize);
  if (cursor.view(4).getUint32(0, false) !== 0x47475546) fail('it does not begin with "GGUF"');
  const version = cursor.view(4).getUint32(0, true);
  if (version !== 2 && version !== 3) fail(`version ${version} is not supported, only 2 and 3 are`);
  const tensorCount = cursor.count(MIN_TENSOR_BYTES, "tensors");
  const entryCount = cursor.count(MIN_ENTRY_BYTES, "metadata entries");
  const metadata = readMetadata(cursor, entryCount);
  const table = readTensorTable(cursor, tensorCount);
  return { metadata, tensors: placeTensors(table, cursor.offset, { metadata, fileSize }) };
}

function readMetadata(cursor: Cursor, count: number): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < count; i++) {
    const key = cursor.text();
    if (key === "") fail("a metadata key is empty");
    if (metadata.has(key)) fail(`metadata key ${key} is repeated`);
    const type = cursor.view(4).getUint32(0, true);
    metadata.set(key, type === ARRAY ? readArray(cursor, key) : readScalar(cursor, type, key));
  }
  return metadata;
}

function readArray(cursor: Cursor, key: string): GgufValue[] {
  const type = cursor.view(4).getUint32(0, true);
  const count = cursor.count(1, `elements of ${key}`);
  if (count > MAX_ARRAY) fail(`${key} has ${count} elements, more than ${MAX_ARRAY}`);
  const values: GgufValue[] = [];
  for (let i = 0; i < count; i++) values.push(readScalar(cursor, type, key));
  return values;
}

function readScalar(cursor: Cursor, type: number, key: string): GgufValue {
  const read = Object.hasOwn(SCALARS, type) ? SCALARS[type] : undefined;
  if (!read) fail(`metadata ${key} has the unknown type ${type}`);
  return read(cursor);
}

function readBoolean(cursor: Cursor): boolean {
  const value = cursor.view(1).getUint8(0);
  if (value > 1) fail(`a boolean is ${value}`);
  return value === 1;
}

type TableEntry = GgufTensorInfo & { readonly offset: number };

function readTensorTable(cursor: Cursor, count: number): Map<string, TableEntry> {
  const table = new Map<string, TableEntry>();
  for (let i = 0; i < count; i++) {
    const name = cursor.text();
    if (new TextEncoder().encode(name).length > MAX_TENSOR_NAME) fail(`tensor name ${name} is too long`);
    if (table.has(name)) fail(`tensor ${name} is repeated`);
    const dimensions = cursor.view(4).getUint32(0, true);
    if (dimensions > MAX_DIMENSIONS) fail(`tensor ${name} has ${dimensions} dimensions`);
    const innermostFirst = Array.from({ length: dimensions }, () => cursor.size(`tensor ${name}`));
    const id = cursor.view(4).getUint32(0, true);
    const type = GGUF_TYPE_OF_ID.get(id);
    if (!type) fail(`tensor ${name} has the unknown type ${id}`);
    const { blockSize, blockBytes } = GGUF_TYPES[type];
    const columns = innermostFirst[0] ?? 1;
    if (columns % blockSize !== 0) {
      fail(`tensor ${name} of ${type} has ${columns} columns, not whole blocks of ${blockSize}`);
    }
    const byteLength = product([...innermostFirst.slice(1), columns / blockSize, blockBytes], name);
    const shape = innermostFirst.reverse();
    table.set(name, { name, type, shape, byteLength, offset: cursor.size(`tensor ${name}`) });
  }
  return table;
}

/** Data lie in the order of the table, each padded to the alignment, and inside the file. */
function placeTensors(
  table: Map<string, TableEntry>,
  headerEnd: number,
  file: { readonly metadata: Map<string, GgufValue>; readonly fileSize: number },
): GgufHeader["tensors"] {
  const alignment = file.metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== "number" || !(alignment > 0) || (alignment & (alignment - 1)) !== 0) {
    fail(`general.alignment ${alignment} is not a power of two`);
  }
  const align = (size: number) => Math.ceil(size / alignment) * alignment;
  const start = align(headerEnd);
  const tensors: GgufHeader["tensors"] = new Map();
  let expected = 0;
  for (const { offset, ...info } of table.values()) {
    if (offset !== expected) fail(`tensor ${info.name} lies at ${offset} instead of ${expected}`);
    if (start + offset + info.byteLength > file.fileSize) {
      fail(`tensor ${info.name} ends behind the file's ${file.fileSize} bytes: it is truncated`);
    }
    tensors.set(info.name, { ...info, begin: start + offset });
    expected = offset + align(info.byteLength);
  }
  return tensors;
}

function product(sizes: readonly number[], name: string): number {
  let total = 1;
  for (const size of sizes) {
    total *= size;
    if (!Number.isSafeInteger(total)) fail(`tensor ${name} is too large`);
  }
  return total;
}

/** Reads forward through the beginning of a file. */
class Cursor {
  offset = 0;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #fileSize: number;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  constructor(bytes: Uint8Array<ArrayBuffer>, fileSize: number) {
    this.#bytes = bytes;
    this.#fileSize = fileSize;
  }

  /** A view of the next bytes, which are then behind the cursor. */
  view(length: number): DataView<ArrayBuffer> {
    const begin = this.#advance(length);
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + begin, length);
  }

  /** A string: its length and its UTF-8. */
  text(): string {
    const length = this.size("a string");
    const begin = this.#advance(length);
    try {
      return this.#decoder.decode(this.#bytes.subarray(begin, begin + length));
    } catch {
      fail("a string is not valid UTF-8");
    }
  }

  /** A 64-bit size as a number. */
  size(what: string): number {
    const value = this.view(8).getBigUint64(0, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) fail(`${what} claims a size of ${value}`);
    return Number(value);
  }

  /** A 64-bit count of things that take at least `minBytes` each, bounded by what the file can hold. */
  count(minBytes: number, what: string): number {
    const count = this.size(what);
    if (count * minBytes > this.#fileSize - this.offset) {
      fail(`it claims ${count} ${what}, more than the file can hold`);
    }
    return count;
  }

  #advance(length: number): number {
    const begin = this.offset;
    const end = begin + length;
    if (end > this.#fileSize) fail("the header ends behind the file: it is truncated");
    if (end > this.#bytes.length) throw new NeedMoreBytes();
    this.offset = end;
    return begin;
  }
}

function fail(problem: string): never {
  throw new SyntaxError(problem);
}
