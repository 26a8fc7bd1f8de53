// Rotary position embedding on a backend.
import type { Backend, DeviceBuffer } from "../kernels/mod.ts";
import { DeviceTensor, runKernel, uploadBytes } from "./tensor.ts";

/** Cosines and sines of every position, on a backend. */
export interface RopeTable extends Disposable {
  /** Number of positions. */
  readonly positions: number;
  /** Even; half of it are the frequencies. */
  readonly headSize: number;
  /** `[positions, headSize / 2]`. */
  readonly cosines: DeviceBuffer;
  /** `[positions, headSize / 2]`. */
  readonly sines: DeviceBuffer;
}

/**
 * Tabulates rotary angles: position times frequency, in float64 and rounded once.
 *
 * @param backend Where the table lives.
 * @param frequencies Radians per position of each pair, `[headSize / 2]`.
 * @param positions Number of positions.
 * @returns The table; it owns its buffers.
 */
export function createRopeTable(
  backend: Backend,
  frequencies: Float64Array<ArrayBuffer>,
  positions: number,
): RopeTable {
  const pairs = frequencies.length;
  const cosines = new Float32Array(positions * pairs);
  const sines = new Float32Array(positions * pairs);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < pairs; i++) {
      cosines[position * pairs + i] = Math.cos(position * frequencies[i]);
      sines[position * pairs + i] = Math.sin(position * frequencies[i]);
    }
  }
  const buffers = [uploadBytes(backend, cosines), uploadBytes(backend, sines)];
  return {
    positions,
    headSize: pairs * 2,
    cosines: buffers[0],
    sines: buffers[1],
    [Symbol.dispose]: () => buffers.forEach((buffer) => buffer.dispose()),
  };
}

/**
 * Turns each head of each row by the angle of its position.
 *
 * @param x `[rows, heads * headSize]`.
 * @param table Angles.
 * @param positions uint32 `[rows]`, each below the table's length.
 * @returns A new tensor of the shape of `x`.
 * @throws {RangeError} If the columns of `x` are not whole heads.
 */
export async function applyRope(
  x: DeviceTensor,
  table: RopeTable,
  positions: DeviceBuffer,
): Promise<DeviceTensor> {
  const { headSize } = table;
  const heads = x.columns / headSize;
  if (!Number.isInteger(heads)) {
    throw new RangeError(
      `Cannot rotate ${x.columns} columns as heads of ${headSize}: they must divide evenly`,
    );
  }
  const y = new DeviceTensor(x.backend, x.rows, x.columns);
  const inputs = [x.buffer, table.cosines, table.sines, positions];
  await runKernel(x.backend, { op: "rope", rows: x.rows, heads, headSize }, inputs, [y.buffer]);
  return y;
}
