// Packs every line of a matrix by itself, with the lines side by side or, down the columns, unit by unit.
import { type LineOrder, type LineOrderName, lineOrders } from "./_line_orders.ts";
import { transposeUnits } from "./_transpose.ts";

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
  const unitBits = 8 * order.unitBytes;
  const needed = Math.ceil(length * bits / unitBits) * order.unitBytes;
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
  const { order, bits, lines, length, lineBytes } = layout;
  const source = layout.isColumn ? transposeUnits(codes, length, lines, new Uint8Array(codes.length)) : codes;
  const packed = new Uint8Array(lines * lineBytes);
  if (isDense(layout)) order.pack(source, bits, packed);
  else {
    for (let line = 0; line < lines; line++) {
      order.pack(
        padded(source.subarray(line * length, (line + 1) * length), order.group(bits)),
        bits,
        packed.subarray(line * lineBytes, (line + 1) * lineBytes),
      );
    }
  }
  return layout.isTurned ? turn(packed, lines, layout) : packed;
}

export function unpackLines(
  packed: Uint8Array<ArrayBufferLike>,
  layout: LineLayout,
): Uint8Array<ArrayBuffer> {
  const { order, bits, lines, length, lineBytes } = layout;
  const source = layout.isTurned ? turn(packed.slice(), lineBytes / order.unitBytes, layout) : packed;
  const codes = new Uint8Array(lines * length);
  if (isDense(layout)) order.unpack(source, bits, codes);
  else {
    const group = order.group(bits);
    const line = new Uint8Array(Math.ceil(length / group) * group);
    for (let i = 0; i < lines; i++) {
      order.unpack(source.subarray(i * lineBytes, (i + 1) * lineBytes), bits, line);
      codes.set(line.subarray(0, length), i * length);
    }
  }
  return layout.isColumn ? transposeUnits(codes, lines, length, new Uint8Array(codes.length)) : codes;
}

/** Whether the lines follow each other without padding, so that they may be packed as one. */
function isDense(layout: LineLayout): boolean {
  return layout.lineBytes * 8 === layout.length * layout.bits;
}

/** The codes followed by zeros up to a whole group. */
function padded(codes: Uint8Array<ArrayBuffer>, group: number): Uint8Array<ArrayBuffer> {
  if (codes.length % group === 0) return codes;
  const whole = new Uint8Array(Math.ceil(codes.length / group) * group);
  whole.set(codes);
  return whole;
}

/** Swaps lines and units of `[rows, ...]` units. */
function turn(bytes: Uint8Array<ArrayBuffer>, rows: number, layout: LineLayout): Uint8Array<ArrayBuffer> {
  if (layout.order.unitBytes === 1) {
    return transposeUnits(bytes, rows, bytes.length / rows, new Uint8Array(bytes.length));
  }
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  return new Uint8Array(
    transposeUnits(words, rows, words.length / rows, new Uint32Array(words.length)).buffer,
  );
}
