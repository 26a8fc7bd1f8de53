// The quantile function of the standard normal distribution, to double precision.

/** Terms of the series; it converges geometrically for the arguments used here. */
const MAX_TERMS = 200;

/** `P(Z <= x)` by the series of the error function; accurate to about 1e-16 for |x| <= 4. */
function normalCdf(x: number): number {
  // 1/2 + phi(x) * (x + x^3/3 + x^5/15 + ...)
  let term = x;
  let sum = x;
  for (let i = 1; i < MAX_TERMS && Math.abs(term) > 1e-18 * Math.abs(sum); i++) {
    term *= x * x / (2 * i + 1);
    sum += term;
  }
  return 0.5 + sum * normalDensity(x);
}

function normalDensity(x: number): number {
  return Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
}

/** The `x` with `P(Z <= x) = probability`, for probabilities from 1e-4 to 1 - 1e-4: Newton steps from 0. */
export function normalQuantile(probability: number): number {
  let x = 0;
  for (let i = 0; i < 50; i++) {
    const step = (normalCdf(x) - probability) / normalDensity(x);
    x -= step;
    if (Math.abs(step) < 1e-16 * Math.max(1, Math.abs(x))) break;
  }
  return x;
}
