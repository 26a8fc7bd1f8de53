// Element-wise ops.
import type { Activation, ActivationSpec, AddSpec, GatedActivationSpec } from "../specs.ts";
import { type Bytes, floats } from "./_views.ts";

/** The nonlinearities, in float64. */
export const ACTIVATIONS: Readonly<Record<Activation, (x: number) => number>> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  relu: (x) => Math.max(x, 0),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

/** Reference of {@linkcode ActivationSpec}. */
export function activation(spec: ActivationSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const x = floats(inputs[0], spec.count);
  const y = floats(outputs[0], spec.count);
  const f = ACTIVATIONS[spec.activation];
  for (let i = 0; i < spec.count; i++) y[i] = f(x[i]);
}

/** Reference of {@linkcode GatedActivationSpec}. */
export function gatedActivation(
  spec: GatedActivationSpec,
  inputs: readonly Bytes[],
  outputs: readonly Bytes[],
): void {
  const gate = floats(inputs[0], spec.count);
  const up = floats(inputs[1], spec.count);
  const y = floats(outputs[0], spec.count);
  const f = ACTIVATIONS[spec.activation];
  for (let i = 0; i < spec.count; i++) y[i] = f(gate[i]) * up[i];
}

/** Reference of {@linkcode AddSpec}. */
export function add(spec: AddSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const a = floats(inputs[0], spec.count);
  const b = floats(inputs[1], spec.count);
  const y = floats(outputs[0], spec.count);
  for (let i = 0; i < spec.count; i++) y[i] = a[i] + b[i];
}

/** The error function to float64 accuracy: its Taylor series near zero, a continued fraction of erfc beyond. */
function erf(x: number): number {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  if (size < 2.5) {
    let term = size;
    let sum = size;
    for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) {
      term *= -size * size / n;
      sum += term / (2 * n + 1);
    }
    return Math.sign(x) * sum * 2 / Math.sqrt(Math.PI);
  }
  let fraction = size;
  for (let n = 60; n >= 1; n--) fraction = size + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-size * size) / (fraction * Math.sqrt(Math.PI)));
}
