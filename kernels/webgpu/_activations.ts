// The nonlinearities in WGSL.
import type { Activation } from "../specs.ts";

/** WGSL of a function `f` of one or more floats, given their type. Exponents are bounded, because WGSL does not promise
 * infinities. */
export const ACTIVATIONS: Readonly<Record<Activation, (type: string) => string>> = {
  silu: (type) => `fn f(x: ${type}) -> ${type} { return x / (1.0 + exp(min(-x, ${type}(80.0)))); }`,
  relu: (type) => `fn f(x: ${type}) -> ${type} { return max(x, ${type}()); }`,
  // The error function by formula 7.1.26 of Abramowitz and Stegun, absolute error below 1.5e-7.
  gelu: (type) => `
fn f(x: ${type}) -> ${type} {
  let size = abs(x) * 0.7071067811865476;
  let t = 1.0 / (1.0 + 0.3275911 * size);
  let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let tail = series * exp(-min(size * size, ${type}(80.0)));
  return 0.5 * x * (1.0 + sign(x) * (1.0 - tail));
}`,
  gelu_tanh: (type) => `
fn f(x: ${type}) -> ${type} {
  let inner = 0.7978845608028654 * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1.0 + tanh(clamp(inner, ${type}(-15.0), ${type}(15.0))));
}`,
};
