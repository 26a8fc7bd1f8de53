// A float tensor as the prepared input of the layers that multiply it as it is.
import type { PreparedInput } from "./linear.ts";
import type { DeviceTensor } from "./tensor.ts";

/** The tensor itself; owned by the caller. */
export class DenseInput implements PreparedInput {
  constructor(readonly tensor: DeviceTensor) {}

  get rows(): number {
    return this.tensor.rows;
  }

  [Symbol.dispose](): void {}
}
