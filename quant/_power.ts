// x^p for one fixed p and very many x: the inner loop of every clip search.

const MANTISSA_BITS = 12;
const STEPS = 1 << MANTISSA_BITS;
const FRACTION_BITS = 23 - MANTISSA_BITS;
const FRACTION_MASK = (1 << FRACTION_BITS) - 1;

/**
 * A function that raises non-negative float32 numbers to a power, with a relative error below 1e-7, several times
 * faster than `Math.pow`: a table over the exponent times a table over the upper mantissa, interpolated.
 *
 * @param exponent The power, above 0.
 * @returns `x => x ** exponent`; subnormal numbers give 0.
 */
export function createPower(exponent: number): (x: number) => number {
  if (exponent === 2) return (x) => x * x;
  const scales = Float64Array.from({ length: 256 }, (_, e) => e === 0 ? 0 : 2 ** ((e - 127) * exponent));
  const mantissas = Float64Array.from({ length: STEPS + 1 }, (_, i) => (1 + i / STEPS) ** exponent);
  const value = new Float32Array(1);
  const bits = new Uint32Array(value.buffer);
  return (x) => {
    value[0] = x;
    const word = bits[0];
    const step = (word >>> FRACTION_BITS) & (STEPS - 1);
    const fraction = (word & FRACTION_MASK) / (FRACTION_MASK + 1);
    const low = mantissas[step];
    return scales[(word >>> 23) & 255] * (low + (mantissas[step + 1] - low) * fraction);
  };
}
