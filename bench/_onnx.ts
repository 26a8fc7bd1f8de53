// Writes the smallest ONNX models that hold one matrix product, for the runtimes measured beside this library: just
// enough of the protobuf encoding for a graph of one node and its weights.

const FLOAT = 1;
const UINT8 = 2;

type Message = Uint8Array<ArrayBuffer>;

/** A weight of a model. */
interface Initializer {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;
}

function concat(parts: readonly Message[]): Message {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function varint(value: number): Message {
  const bytes: number[] = [];
  while (value > 127) {
    bytes.push(value % 128 + 128);
    value = Math.floor(value / 128);
  }
  return Uint8Array.of(...bytes, value);
}

const integer = (field: number, value: number): Message => concat([varint(field << 3), varint(value)]);
const bytes = (field: number, value: Message): Message =>
  concat([varint(field << 3 | 2), varint(value.length), value]);
const text = (field: number, value: string): Message => bytes(field, new TextEncoder().encode(value));
const message = (field: number, ...parts: Message[]): Message => bytes(field, concat(parts));

function tensor({ name, dims, data }: Initializer): Message {
  return concat([
    ...dims.map((dim) => integer(1, dim)),
    integer(2, data instanceof Float32Array ? FLOAT : UINT8),
    text(8, name),
    bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  ]);
}

/** A float matrix `[M, columns]` that goes in or comes out; M is left open. */
function value(name: string, columns: number): Message {
  const shape = message(2, message(1, text(2, "M")), message(1, integer(1, columns)));
  return concat([text(1, name), message(2, message(1, integer(1, FLOAT), shape))]);
}

function model(node: Message, weights: Initializer[], inner: number, columns: number): Message {
  const graph = concat([
    bytes(1, node),
    text(2, "product"),
    ...weights.map((weight) => bytes(5, tensor(weight))),
    bytes(11, value("x", inner)),
    bytes(12, value("y", columns)),
  ]);
  const opset = (domain: string, version: number) => message(8, text(1, domain), integer(2, version));
  return concat([integer(1, 10), bytes(7, graph), opset("", 21), opset("com.microsoft", 1)]);
}

/** A model `y = x * weight`, float32, `weight [inner, columns]`. */
export function floatModel(weight: Float32Array<ArrayBuffer>, inner: number, columns: number): Message {
  const node = concat([text(1, "x"), text(1, "w"), text(2, "y"), text(4, "MatMul")]);
  return model(node, [{ name: "w", dims: [inner, columns], data: weight }], inner, columns);
}

/** The weight of a {@linkcode fourBitModel}. */
export interface FourBitWeight {
  /** `[columns, inner / 32]` blocks of 16 bytes, low nibble first, zero point 8. */
  readonly packed: Uint8Array<ArrayBuffer>;
  /** `[columns, inner / 32]`. */
  readonly scales: Float32Array<ArrayBuffer>;
}

/** A model `y = x * weight^T` with MatMulNBits: 4 bits, blocks of 32, activations rounded to 8 bits (accuracy level 4). */
export function fourBitModel({ packed, scales }: FourBitWeight, inner: number, columns: number): Message {
  const attribute = (name: string, of: number) => message(5, text(1, name), integer(3, of), integer(20, 2));
  const node = concat([
    ...["x", "w", "s"].map((name) => text(1, name)),
    text(2, "y"),
    text(4, "MatMulNBits"),
    attribute("K", inner),
    attribute("N", columns),
    attribute("bits", 4),
    attribute("block_size", 32),
    attribute("accuracy_level", 4),
    text(7, "com.microsoft"),
  ]);
  const weights = [
    { name: "w", dims: [columns, inner / 32, 16], data: packed },
    { name: "s", dims: [columns, inner / 32], data: scales },
  ];
  return model(node, weights, inner, columns);
}
