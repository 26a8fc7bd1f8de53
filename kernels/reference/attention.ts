// Causal grouped-query attention over a cache: the textbook three steps, one query head at a time.
import type { AttentionSpec } from "../specs.ts";
import { type Bytes, floats, indices } from "./_views.ts";

/** Reference of {@linkcode AttentionSpec}. */
export function attention(spec: AttentionSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const { rows, heads, kvHeads, headSize, capacity, window } = spec;
  const q = floats(inputs[0], rows * heads * headSize);
  const keys = floats(inputs[1], capacity * kvHeads * headSize);
  const values = floats(inputs[2], capacity * kvHeads * headSize);
  const positions = indices(inputs[3], rows);
  const y = floats(outputs[0], rows * heads * headSize);
  const inverseRoot = 1 / Math.sqrt(headSize);
  const scores = new Float64Array(capacity);
  for (let row = 0; row < rows; row++) {
    const last = positions[row];
    const first = window > 0 ? Math.max(0, last - window + 1) : 0;
    for (let head = 0; head < heads; head++) {
      const query = (row * heads + head) * headSize;
      const kvHead = Math.floor(head * kvHeads / heads);
      const cached = (position: number) => (position * kvHeads + kvHead) * headSize;
      let highest = -Infinity;
      for (let position = first; position <= last; position++) {
        let dot = 0;
        for (let i = 0; i < headSize; i++) dot += q[query + i] * keys[cached(position) + i];
        scores[position] = dot * inverseRoot;
        highest = Math.max(highest, scores[position]);
      }
      let total = 0;
      for (let position = first; position <= last; position++) {
        scores[position] = Math.exp(scores[position] - highest);
        total += scores[position];
      }
      for (let i = 0; i < headSize; i++) {
        let sum = 0;
        for (let position = first; position <= last; position++) {
          sum += scores[position] * values[cached(position) + i];
        }
        y[query + i] = sum / total;
      }
    }
  }
}
