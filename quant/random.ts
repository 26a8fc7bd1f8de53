// Seeded random numbers, so that rotations, sketches and fixtures are the same on every machine.

/** A stream of random numbers that its seed decides completely. */
export interface Random {
  /** Uniform in `[0, 1)`, 32 random bits. */
  uniform(): number;
  /** Standard normal. */
  normal(): number;
  /** `-1` or `1`, evenly. */
  sign(): number;
  /** Uniform integer in `[0, limit)`. */
  integer(limit: number): number;
}

/**
 * Starts a stream of random numbers: the sfc32 generator, seeded through splitmix32.
 *
 * @param seed Any integer; its low 32 bits count.
 * @returns The stream. Equal seeds give equal streams.
 *
 * @example Usage
 * ```ts
 * import { createRandom } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(createRandom(7).normal(), createRandom(7).normal());
 * ```
 */
export function createRandom(seed: number): Random {
  const next = sfc32(seed);
  const uniform = (): number => next() / 4294967296;
  let spare: number | undefined;
  return {
    uniform,
    normal(): number {
      if (spare !== undefined) {
        const value = spare;
        spare = undefined;
        return value;
      }
      // Box-Muller; `1 - u` keeps zero out of the logarithm.
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      const angle = 2 * Math.PI * uniform();
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    },
    sign: () => (next() & 1) === 0 ? -1 : 1,
    integer: (limit) => Math.floor(uniform() * limit),
  };
}

/** The sfc32 generator: 32 fresh bits per call. */
function sfc32(seed: number): () => number {
  let mix = seed >>> 0;
  const splitmix = (): number => {
    mix = (mix + 0x9e3779b9) | 0;
    let z = mix ^ (mix >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return z ^ (z >>> 15);
  };
  let [a, b, c, counter] = [splitmix(), splitmix(), splitmix(), 1];
  return () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
}
