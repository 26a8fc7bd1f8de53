// Exponentials and logarithms: vector ones in float32 (about 1 unit in the last place), scalar ones in float64.
import {
  constant, EXP_HIGHEST, EXP_LOWEST, EXP_POLYNOMIAL, LN2_LOWER, LN2_UPPER, LOG2_E, ONE, ROUNDER,
} from "./constants";
import { madd } from "./simd";

/** exp of four floats; below -87.3 it gives the smallest normal numbers, above 88.3 the largest. */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  const limited = f32x4.pmax(f32x4.pmin(x, constant(EXP_HIGHEST)), constant(EXP_LOWEST));
  // Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
  const rounder = constant(ROUNDER);
  const one = constant(ONE);
  const shifted = madd(limited, constant(LOG2_E), rounder);
  const n = f32x4.sub(shifted, rounder);
  // ln 2 in two parts, the first with few enough bits that n times it is exact.
  let r = madd(n, constant(LN2_UPPER), limited);
  r = madd(n, constant(LN2_LOWER), r);
  let p = constant(EXP_POLYNOMIAL);
  p = madd(p, r, constant(EXP_POLYNOMIAL + 1));
  p = madd(p, r, constant(EXP_POLYNOMIAL + 2));
  p = madd(p, r, constant(EXP_POLYNOMIAL + 3));
  p = madd(p, r, constant(EXP_POLYNOMIAL + 4));
  p = madd(p, r, constant(EXP_POLYNOMIAL + 5));
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), one);
  // The bits of 1 are the exponent bias.
  return f32x4.mul(p, i32x4.add(i32x4.shl(shifted, 23), one));
}

/** exp of one double between -700 and 700. */
export function exp1(x: f64): f64 {
  const n = nearest(x * 1.4426950408889634);
  const r = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10;
  let term: f64 = 1;
  let sum: f64 = 1;
  for (let i = 1; i < 16; i++) {
    term *= r / i;
    sum += term;
  }
  return sum * reinterpret<f64>((<i64> n + 1023) << 52);
}

/** The natural logarithm of a positive normal double: of its mantissa by the series of artanh, plus its exponent. */
export function log1(x: f64): f64 {
  const bits = reinterpret<i64>(x);
  let exponent = (bits >> 52) - 1023;
  let mantissa = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  if (mantissa > 1.4142135623730951) {
    mantissa *= 0.5;
    exponent++;
  }
  const t = (mantissa - 1) / (mantissa + 1);
  const square = t * t;
  let sum: f64 = 0;
  for (let i = 21; i >= 1; i -= 2) sum = sum * square + 1.0 / i;
  return 2 * t * sum + <f64> exponent * 0.6931471805599453;
}

/** The complement of the error function for x >= 0, to a relative error of 1.2e-7 (Numerical Recipes, section 6.2). */
export function erfc1(x: f64): f64 {
  const t = 1 / (1 + 0.5 * x);
  let p: f64 = 0.17087277;
  p = p * t - 0.82215223;
  p = p * t + 1.48851587;
  p = p * t - 1.13520398;
  p = p * t + 0.27886807;
  p = p * t - 0.18628806;
  p = p * t + 0.09678418;
  p = p * t + 0.37409196;
  p = p * t + 1.00002368;
  p = p * t - 1.26551223;
  return t * exp1(max(p - x * x, -700));
}
