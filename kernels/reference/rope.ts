// Rotary position embedding, half-split order.
import type { RopeSpec } from "../specs.ts";
import { type Bytes, floats, indices } from "./_views.ts";

/** Reference of {@linkcode RopeSpec}. */
export function rope(spec: RopeSpec, inputs: readonly Bytes[], outputs: readonly Bytes[]): void {
  const { rows, heads, headSize } = spec;
  const pairs = headSize / 2;
  const x = floats(inputs[0], rows * heads * headSize);
  const cosines = new Float32Array(inputs[1]);
  const sines = new Float32Array(inputs[2]);
  const positions = indices(inputs[3], rows);
  const y = floats(outputs[0], rows * heads * headSize);
  for (let row = 0; row < rows; row++) {
    const angle = positions[row] * pairs;
    for (let head = 0; head < heads; head++) {
      const at = (row * heads + head) * headSize;
      for (let i = 0; i < pairs; i++) {
        const first = x[at + i];
        const second = x[at + pairs + i];
        y[at + i] = first * cosines[angle + i] - second * sines[angle + i];
        y[at + pairs + i] = second * cosines[angle + i] + first * sines[angle + i];
      }
    }
  }
}
