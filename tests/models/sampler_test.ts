// Samplers: frequencies against the probabilities they must have.
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { argmax, createSampler, type SamplerOptions } from "../../models/mod.ts";

const PROBABILITIES = [0.1, 0.4, 0.05, 0.3, 0.15];
const LOGITS = Float32Array.from(PROBABILITIES, (p) => Math.log(p) + 3);
const DRAWS = 4000;

function frequencies(options: SamplerOptions): number[] {
  const sample = createSampler({ temperature: 1, seed: 5, ...options });
  const counts = PROBABILITIES.map(() => 0);
  for (let i = 0; i < DRAWS; i++) counts[sample(LOGITS)]++;
  return counts.map((count) => count / DRAWS);
}

const CASES: [about: string, options: SamplerOptions, expected: number[]][] = [
  ["all tokens", {}, PROBABILITIES],
  ["the top 2", { topK: 2 }, [0, 4 / 7, 0, 3 / 7, 0]],
  ["a top-k above the vocabulary", { topK: 99 }, PROBABILITIES],
  ["the fewest tokens that reach 0.65", { topP: 0.65 }, [0, 4 / 7, 0, 3 / 7, 0]],
  ["one token when it alone reaches topP", { topP: 0.2 }, [0, 1, 0, 0, 0]],
  ["top-p over what top-k left", { topK: 3, topP: 0.8 }, [0, 4 / 7, 0, 3 / 7, 0]],
  ["a low temperature", { temperature: 0.5 }, PROBABILITIES.map((p) => p * p / 0.285)],
];

for (const [about, options, expected] of CASES) {
  Deno.test(`createSampler() draws from ${about}`, () => {
    // Four standard deviations of a frequency over the draws, at its widest.
    frequencies(options).forEach((frequency, id) => assertAlmostEquals(frequency, expected[id], 0.032));
  });
}

Deno.test("createSampler() keeps exactly topK among equal logits, the lowest ids", () => {
  const sample = createSampler({ temperature: 1, topK: 2 });
  const seen = new Set(Array.from({ length: 200 }, () => sample(new Float32Array(6))));
  assertEquals([...seen].sort(), [0, 1]);
});

Deno.test("createSampler() is greedy at temperature 0, lowest id first", () => {
  assertEquals(createSampler()(LOGITS), 1);
  assertEquals(argmax(Float32Array.of(1, 3, 3, -Infinity)), 1);
});

Deno.test("createSampler() refuses logits that are not numbers", () => {
  for (const temperature of [0, 1]) {
    const sample = createSampler({ temperature });
    assertThrows(() => sample(new Float32Array(4).fill(NaN)), RangeError, "the largest logit is NaN");
    assertThrows(() => sample(Float32Array.of(0, Infinity)), RangeError, "the largest logit is Infinity");
  }
});
