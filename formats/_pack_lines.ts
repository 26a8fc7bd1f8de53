// Packs every line of a matrix by itself, with the lines side by side or, down the columns, unit by unit.
import { type LineOrder, type LineOrderName, lineOrders } from "./_line_orders.ts";
import { transposeUnits } from "./_transpose.ts";

/** Codes that are packed together: those of a width that fill whole words, whatever the width. */
const CHUNK = 32;

/** How a matrix of codes is cut into lines and where their bytes go. */
export interface LineLayout {
  readonly order: LineOrder;
  readonly bits: number;
  /** Number of lines. */
  readonly lines: number;
  /** Codes in a line. */
  readonly length: number;
  readonly lineBytes: number;
  /** Whether lines are the columns of the codes. */
  readonly isColumn: boolean;
  /** Whether the units of different lines lie side by side. */
  readonly isTurned: boolean;
}

/** What a layout is made from. */
interface LineRequest {
  readonly order: LineOrderName;
  readonly bits: number;
  readonly rows: number;
  readonly columns: number;
  readonly axis: 0 | 1;
  readonly lineBytes?: number;
}

export function lineLayout(verb: string, request: LineRequest): LineLayout {
  const { order: name, bits, rows, columns, axis } = request;
  const order: LineOrder = lineOrders[name];
  if (!order.widths.includes(bits)) {
    throw new RangeError(
      `Cannot ${verb} codes of ${bits} bits in ${name} order: it has ${order.widths.join(", ")}`,
    );
  }
  const [lines, length] = axis === 1 ? [rows, columns] : [columns, rows];
  const isPadded = request.lineBytes !== undefined || name === "compressed-tensors";
  const group = order.group(bits);
  if (!isPadded && length % group !== 0) {
    const multiple = group === 2 ? "even" : `a multiple of ${group}`;
    throw new RangeError(`Cannot ${verb} ${length} codes as int${bits}: the count must be ${multiple}`);
  }
  const needed = order.lineBytes(length, bits);
  const lineBytes = request.lineBytes ?? needed;
  if (lineBytes < needed || lineBytes % order.unitBytes !== 0) {
    throw new RangeError(
      `Cannot ${verb} rows of ${length} codes as int${bits} in ${lineBytes} bytes: they take ${needed}`,
    );
  }
  return {
    order,
    bits,
    lines,
    length,
    lineBytes,
    isColumn: axis === 0,
    isTurned: axis === 0 || name === "gptq",
  };
}

export function packLines(codes: Uint8Array<ArrayBuffer>, layout: LineLayout): Uint8Array<ArrayBuffer> {
  const { lines, length, lineBytes } = layout;
  const source = layout.isColumn ? transposeUnits(codes, length, lines, new Uint8Array(codes.length)) : codes;
  let packed: Uint8Array<ArrayBuffer>;
  if (isDense(layout)) packed = exactly(packRun(source, layout), lines * lineBytes);
  else {
    packed = new Uint8Array(lines * lineBytes);
    for (let line = 0; line < lines; line++) {
      const run = packRun(source.subarray(line * length, (line + 1) * length), layout);
      packed.set(run.subarray(0, lineBytes), line * lineBytes);
    }
  }
  return layout.isTurned ? turn(packed, lines, layout) : packed;
}

export function unpackLines(
  packed: Uint8Array<ArrayBufferLike>,
  layout: LineLayout,
): Uint8Array<ArrayBuffer> {
  const { order, lines, length, lineBytes } = layout;
  const bytes = packed as Uint8Array<ArrayBuffer>;
  const source = layout.isTurned ? turn(bytes.slice(), lineBytes / order.unitBytes, layout) : bytes;
  let codes: Uint8Array<ArrayBuffer>;
  if (isDense(layout)) codes = unpackRun(source, lines * length, layout);
  else {
    codes = new Uint8Array(lines * length);
    for (let line = 0; line < lines; line++) {
      const run = source.subarray(line * lineBytes, (line + 1) * lineBytes);
      codes.set(unpackRun(run, length, layout), line * length);
    }
  }
  return layout.isColumn ? transposeUnits(codes, lines, length, new Uint8Array(codes.length)) : codes;
}

/** Whether the lines follow each other without padding, so that they may be packed as one. */
function isDense(layout: LineLayout): boolean {
  return layout.lineBytes * 8 === layout.length * layout.bits;
}

/** Packs codes, filled up with zeros to a multiple of 32. */
function packRun(codes: Uint8Array<ArrayBuffer>, layout: LineLayout): Uint8Array<ArrayBuffer> {
  const { order, bits } = layout;
  const chunks = Math.ceil(codes.length / CHUNK);
  const packed = new Uint32Array(chunks * bits);
  order.pack(asWords(codes, chunks * CHUNK), bits, packed);
  return new Uint8Array(packed.buffer);
}

/** The first `count` codes packed in some bytes. */
function unpackRun(
  packed: Uint8Array<ArrayBuffer>,
  count: number,
  layout: LineLayout,
): Uint8Array<ArrayBuffer> {
  const { order, bits } = layout;
  const chunks = Math.ceil(count / CHUNK);
  const bytes = 4 * chunks * bits;
  const codes = new Uint32Array(chunks * CHUNK / 4);
  order.unpack(asWords(packed.subarray(0, Math.min(bytes, packed.length)), bytes), bits, codes);
  return exactly(new Uint8Array(codes.buffer), count);
}

/** The first bytes of an array, in a buffer that holds nothing else. */
function exactly(bytes: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  return bytes.buffer.byteLength === length ? bytes : bytes.slice(0, length);
}

/** Bytes as words: a view where they are aligned and long enough, else a copy followed by zeros. */
function asWords(bytes: Uint8Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  if (bytes.length === length && bytes.byteOffset % 4 === 0) {
    return new Uint32Array(bytes.buffer, bytes.byteOffset, length / 4);
  }
  const copy = new Uint8Array(length);
  copy.set(bytes);
  return new Uint32Array(copy.buffer);
}

/** Swaps lines and units of `[rows, ...]` units. */
function turn(bytes: Uint8Array<ArrayBuffer>, rows: number, layout: LineLayout): Uint8Array<ArrayBuffer> {
  if (layout.order.unitBytes === 1) {
    return transposeUnits(bytes, rows, bytes.length / rows, new Uint8Array(bytes.length));
  }
  const words = asWords(bytes, bytes.length);
  return new Uint8Array(
    transposeUnits(words, rows, words.length / rows, new Uint32Array(words.length)).buffer,
  );
}
