// The safetensors header: every number in it is a claim of the file and is checked against the file's size before
// it is used. https://github.com/huggingface/safetensors
import { parseStrictJson, type StrictJson } from "./_strict_json.ts";
import { TENSOR_TYPE_BYTES, type TensorInfo, type TensorType } from "./tensor.ts";

/** Largest header accepted, as in the format's own reader. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Bytes before the header: its length. */
export const LENGTH_BYTES = 8;

/** A tensor and where its data lie, counted from the end of the header. */
export interface HeaderEntry extends TensorInfo {
  readonly begin: number;
}

/** A checked header. */
export interface Header {
  readonly metadata: Map<string, string>;
  readonly entries: Map<string, HeaderEntry>;
}

/**
 * Parses and checks a header.
 *
 * @param bytes The JSON, without the length before it.
 * @param dataBytes Bytes that follow the header in the file.
 * @returns Metadata and tensors.
 * @throws {SyntaxError} If anything in it is malformed or disagrees with the file's size.
 */
export function parseHeader(bytes: Uint8Array, dataBytes: number): Header {
  if (bytes[0] !== 0x7b) fail('the header does not begin with "{"');
  const root = parseStrictJson(decodeUtf8(bytes));
  if (!(root instanceof Map)) fail("the header is not an object");
  const metadata = parseMetadata(root.get("__metadata__"));
  root.delete("__metadata__");
  const entries = new Map<string, HeaderEntry>();
  for (const [name, value] of root) entries.set(name, parseEntry(name, value));
  checkLayout([...entries.values()], dataBytes);
  return { metadata, entries };
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    fail("the header is not valid UTF-8");
  }
}

function parseMetadata(value: StrictJson | undefined): Map<string, string> {
  if (value === undefined) return new Map();
  if (!(value instanceof Map)) fail("__metadata__ is not an object");
  for (const [key, text] of value) {
    if (typeof text !== "string") fail(`__metadata__ has a value that is not text: ${key}`);
  }
  return value as Map<string, string>;
}

function parseEntry(name: string, value: StrictJson): HeaderEntry {
  if (!(value instanceof Map)) fail(`tensor ${name} is not an object`);
  const type = parseType(name, value.get("dtype"));
  const shape = parseSizes(name, "shape", value.get("shape"));
  const offsets = parseSizes(name, "data_offsets", value.get("data_offsets"));
  if (offsets.length !== 2) fail(`tensor ${name} has ${offsets.length} data_offsets instead of 2`);
  const [begin, end] = offsets;
  if (end < begin) fail(`tensor ${name} has reversed data_offsets [${begin}, ${end}]`);
  const byteLength = checkedBytes(name, shape, TENSOR_TYPE_BYTES[type]);
  if (byteLength !== end - begin) {
    fail(
      `tensor ${name} of ${type} [${shape.join(", ")}] needs ${byteLength} bytes, data_offsets give ${
        end - begin
      }`,
    );
  }
  return { name, type, shape, byteLength, begin };
}

function parseType(name: string, value: StrictJson | undefined): TensorType {
  if (typeof value !== "string") fail(`tensor ${name} has no dtype`);
  if (!Object.hasOwn(TENSOR_TYPE_BYTES, value)) fail(`tensor ${name} has the unsupported dtype ${value}`);
  return value as TensorType;
}

function parseSizes(name: string, field: string, value: StrictJson | undefined): number[] {
  if (!Array.isArray(value)) fail(`tensor ${name} has no ${field}`);
  for (const size of value) {
    if (!Number.isSafeInteger(size) || (size as number) < 0) {
      fail(`tensor ${name} has a ${field} that is not a list of sizes`);
    }
  }
  return value as number[];
}

function checkedBytes(name: string, shape: readonly number[], elementBytes: number): number {
  let total = elementBytes;
  for (const size of shape) {
    total *= size;
    if (!Number.isSafeInteger(total)) fail(`tensor ${name} of shape [${shape.join(", ")}] is too large`);
  }
  return total;
}

/** The data must fill the file exactly: no hole, no overlap, nothing after the last tensor. */
function checkLayout(entries: HeaderEntry[], dataBytes: number): void {
  entries.sort((a, b) => a.begin - b.begin || a.byteLength - b.byteLength);
  let end = 0;
  for (const entry of entries) {
    if (entry.begin < end) fail(`tensor ${entry.name} overlaps another`);
    if (entry.begin > end) fail(`there is a hole of ${entry.begin - end} bytes before tensor ${entry.name}`);
    end = entry.begin + entry.byteLength;
  }
  if (end > dataBytes) fail(`the tensors need ${end} bytes, ${dataBytes} follow the header: it is truncated`);
  if (end < dataBytes) fail(`${dataBytes - end} bytes follow the last tensor`);
}

function fail(problem: string): never {
  throw new SyntaxError(problem);
}
