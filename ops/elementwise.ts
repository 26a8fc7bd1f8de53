// Element-wise ops on a backend.
import type { Activation } from "../kernels/mod.ts";
import { requireSameShape } from "./_check.ts";
import { DeviceTensor, runKernel } from "./tensor.ts";

/**
 * Adds `b` to `a` in place, as a residual connection does.
 *
 * @param a `[rows, columns]`; becomes the sum.
 * @param b The same shape.
 * @throws {RangeError} If the shapes differ.
 */
export async function addInPlace(a: DeviceTensor, b: DeviceTensor): Promise<void> {
  requireSameShape("add", a, b);
  await runKernel(a.backend, { op: "add", count: a.rows * a.columns }, [a.buffer, b.buffer], [a.buffer]);
}

/**
 * Applies a nonlinearity to each element.
 *
 * @param x Any shape.
 * @param activation Which one.
 * @returns A new tensor of the shape of `x`.
 */
export async function activate(x: DeviceTensor, activation: Activation): Promise<DeviceTensor> {
  const y = new DeviceTensor(x.backend, x.rows, x.columns);
  await runKernel(x.backend, { op: "activation", count: x.rows * x.columns, activation }, [x.buffer], [
    y.buffer,
  ]);
  return y;
}

/**
 * `f(gate) * up`, the middle of a gated feed-forward layer such as SwiGLU.
 *
 * @param gate `[rows, columns]`.
 * @param up The same shape.
 * @param activation `f`.
 * @returns A new tensor of that shape.
 * @throws {RangeError} If the shapes differ.
 */
export async function activateGated(
  gate: DeviceTensor,
  up: DeviceTensor,
  activation: Activation,
): Promise<DeviceTensor> {
  requireSameShape("gate", gate, up);
  const y = new DeviceTensor(gate.backend, gate.rows, gate.columns);
  const spec = { op: "gated_activation", count: gate.rows * gate.columns, activation } as const;
  await runKernel(gate.backend, spec, [gate.buffer, up.buffer], [y.buffer]);
  return y;
}
