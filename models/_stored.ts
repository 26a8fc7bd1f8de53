// A matrix on the host in the type its checkpoint stores, and the little that is done to one before it is uploaded.
import type { TensorReader, TensorType } from "../io/mod.ts";
import { tensorInfo } from "../io/mod.ts";
import type { FloatType } from "../kernels/mod.ts";

/** Bits of a stored number, one array element each. */
export type StoredBits = Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** A row-major matrix in its storage type. */
export interface HostMatrix {
  readonly data: StoredBits;
  readonly type: FloatType;
  readonly rows: number;
  readonly columns: number;
}

/** Storage types by their name in a checkpoint, with the exponent bits that are all set in NaN and infinity. */
const STORAGE: Partial<Record<TensorType, { type: FloatType; exponent: number }>> = {
  F32: { type: "float32", exponent: 0x7f800000 },
  F16: { type: "float16", exponent: 0x7c00 },
  BF16: { type: "bfloat16", exponent: 0x7f80 },
};

/**
 * Reads a tensor as it is stored, checking shape, type and that every value is finite.
 *
 * @param reader The checkpoint.
 * @param name Name of the tensor.
 * @param shape The shape it must have; one dimension reads as one row.
 * @returns The matrix.
 */
export async function readStored(
  reader: TensorReader,
  name: string,
  shape: readonly [number] | readonly [number, number],
): Promise<HostMatrix> {
  const info = tensorInfo(reader, name);
  if (info.shape.length !== shape.length || info.shape.some((size, i) => size !== shape[i])) {
    throw new RangeError(
      `Cannot load ${name} from ${reader.name}: it has shape [${info.shape.join(", ")}], ` +
        `config.json asks for [${shape.join(", ")}]`,
    );
  }
  const storage = STORAGE[info.type];
  if (!storage) {
    throw new TypeError(`Cannot load ${name} from ${reader.name}: a weight cannot be of type ${info.type}`);
  }
  const bytes = await reader.readBytes(name);
  const data = storage.type === "float32" ? new Uint32Array(bytes.buffer) : new Uint16Array(bytes.buffer);
  const [rows, columns] = shape.length === 1 ? [1, shape[0]] : shape;
  checkFinite(data, storage.exponent, (index) => {
    const place = shape.length === 1 ? `${index}` : `${Math.floor(index / columns)}, ${index % columns}`;
    return `Cannot load ${name} from ${reader.name}: element [${place}] is not finite`;
  });
  return { data, type: storage.type, rows, columns };
}

function checkFinite(data: StoredBits, exponent: number, message: (index: number) => string): void {
  for (let i = 0; i < data.length; i++) {
    if ((data[i] & exponent) === exponent) throw new RangeError(message(i));
  }
}

/** The transposed matrix: GPT-2 stores its weights as `[inputs, outputs]`. */
export function transpose(matrix: HostMatrix): HostMatrix {
  const { data, type, rows, columns } = matrix;
  const turned = data.slice();
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      turned[column * rows + row] = data[row * columns + column];
    }
  }
  return { data: turned, type, rows: columns, columns: rows };
}

/** The given rows of a matrix, in their order: a part of a fused projection. */
export function selectRows(matrix: HostMatrix, rows: readonly number[]): HostMatrix {
  const { data, type, columns } = matrix;
  const selected = data.slice(0, rows.length * columns);
  rows.forEach((row, i) => selected.set(data.subarray(row * columns, (row + 1) * columns), i * columns));
  return { data: selected, type, rows: rows.length, columns };
}
