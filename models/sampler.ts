// Choosing the next token from its logits.
import { createRandom } from "../quant/mod.ts";

/** How tokens are chosen. */
export interface SamplerOptions {
  /** Divides the logits; 0 takes the likeliest token, which is the default. */
  readonly temperature?: number;
  /** Sample among this many of the likeliest tokens only. Default: all. */
  readonly topK?: number;
  /** Sample among the fewest likeliest tokens whose probabilities reach this sum. Default: 1, all. */
  readonly topP?: number;
  /** Start of the random numbers, the `createRandom` stream. Default: 0. */
  readonly seed?: number;
}

/** Chooses a token id from logits. */
export type Sampler = (logits: Float32Array<ArrayBuffer>) => number;

/**
 * Makes a sampler: temperature, then top-k, then top-p, each over what the one before left. Of equal logits the lower
 * id comes first. Equal seeds give equal choices.
 *
 * @param options How tokens are chosen; greedy by default.
 * @returns The sampler; each call draws one random number, and throws a `RangeError` for logits without a largest one.
 * @throws {RangeError} If an option is out of range.
 *
 * @example Usage
 * ```ts
 * import { createSampler } from "@quik/quant/models";
 * import { assertEquals } from "@std/assert";
 *
 * const logits = Float32Array.of(0, 3, 1, 2);
 * assertEquals(createSampler()(logits), 1);
 * assertEquals(createSampler({ temperature: 1, topK: 1 })(logits), 1);
 * ```
 */
export function createSampler(options: SamplerOptions = {}): Sampler {
  const { temperature = 0, topK = Infinity, topP = 1, seed = 0 } = options;
  if (!(temperature >= 0 && temperature < Infinity)) {
    throw new RangeError(`Cannot sample at temperature ${temperature}: it must be a finite number from 0`);
  }
  if (!(topK >= 1)) throw new RangeError(`Cannot sample among the top ${topK}: topK must be at least 1`);
  if (!(topP > 0 && topP <= 1)) throw new RangeError(`Cannot sample with topP ${topP}: it must be in (0, 1]`);
  if (temperature === 0) return greedy;
  const random = createRandom(seed);
  return (logits) => {
    greedy(logits);
    const ids = likeliest(logits, topK);
    return draw(ids, probabilities(logits, ids, temperature), { topP, uniform: random.uniform() });
  };
}

function greedy(logits: Float32Array<ArrayBuffer>): number {
  const best = argmax(logits);
  if (!Number.isFinite(logits[best])) {
    throw new RangeError(`Cannot choose a token: the largest logit is ${logits[best]}`);
  }
  return best;
}

/** The id of the largest logit, the lowest among equals. */
export function argmax(logits: Float32Array<ArrayBuffer>): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}

/** Ids by falling logit, at most `count`. */
function likeliest(logits: Float32Array, count: number): Uint32Array<ArrayBuffer> {
  let ids = Uint32Array.from(logits, (_, id) => id);
  if (count < logits.length) {
    const floor = logits.toSorted()[logits.length - Math.floor(count)];
    ids = ids.filter((id) => logits[id] >= floor);
  }
  return ids.sort((a, b) => logits[b] - logits[a] || a - b).slice(0, Math.min(count, ids.length));
}

function probabilities(
  logits: Float32Array,
  ids: Uint32Array,
  temperature: number,
): Float64Array<ArrayBuffer> {
  const top = logits[ids[0]];
  const weights = Float64Array.from(ids, (id) => Math.exp((logits[id] - top) / temperature));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/** Draws among the leading ids that reach `topP`; `uniform` in [0, 1) decides. */
function draw(
  ids: Uint32Array,
  chances: Float64Array,
  options: { readonly topP: number; readonly uniform: number },
): number {
  const { topP, uniform } = options;
  let kept = 0;
  let mass = 0;
  while (kept < ids.length && (kept === 0 || mass < topP)) mass += chances[kept++];
  let left = uniform * mass;
  for (let i = 0; i < kept; i++) {
    left -= chances[i];
    if (left < 0) return ids[i];
  }
  return ids[kept - 1];
}
