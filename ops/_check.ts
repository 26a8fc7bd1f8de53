// Shape checks at the public edge of the ops.
import type { DeviceTensor } from "./tensor.ts";

/** Throws unless a tensor has the given number of columns. */
export function requireColumns(op: string, name: string, tensor: DeviceTensor, columns: number): void {
  if (tensor.columns !== columns) {
    throw new RangeError(
      `Cannot ${op}: ${name} has shape [${tensor.rows}, ${tensor.columns}] and needs ${columns} columns`,
    );
  }
}

/** Throws unless two tensors have the same shape. */
export function requireSameShape(op: string, a: DeviceTensor, b: DeviceTensor): void {
  if (a.rows !== b.rows || a.columns !== b.columns) {
    throw new RangeError(
      `Cannot ${op} tensors of shapes [${a.rows}, ${a.columns}] and [${b.rows}, ${b.columns}]: they must be equal`,
    );
  }
}
