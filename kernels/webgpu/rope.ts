// Rotary position embedding in half-split order, one invocation per pair.
import type { RopeSpec } from "../specs.ts";
import {
  definePass,
  input,
  type KernelVariant,
  LINEAR_WORKGROUP,
  linearMain,
  linearWorkgroups,
  output,
} from "./program.ts";

/** Variants of `rope`. */
export const ropeVariants: readonly KernelVariant<RopeSpec>[] = [{
  name: "per_pair",
  supports: () => true,
  generate: ({ rows, heads, headSize }) => {
    const pairs = headSize / 2;
    const count = rows * heads * pairs;
    return {
      passes: [definePass({
        bindings: [
          input(0, "x", "array<f32>"),
          input(1, "cosines", "array<f32>"),
          input(2, "sines", "array<f32>"),
          input(3, "positions", "array<u32>"),
          output(0, "y", "array<f32>"),
        ],
        uniforms: { count, heads, pairs },
        workgroups: linearWorkgroups(Math.ceil(count / 256)),
        body: `
${linearMain(256)}
  let i = ${LINEAR_WORKGROUP} * 256u + local;
  if (i >= uniforms.count) { return; }
  let pair = i % uniforms.pairs;
  let head = i / uniforms.pairs; // counted over all rows
  let angle = positions[head / uniforms.heads] * uniforms.pairs + pair;
  let at = head * uniforms.pairs * 2u + pair;
  let first = x[at];
  let second = x[at + uniforms.pairs];
  y[at] = first * cosines[angle] - second * sines[angle];
  y[at + uniforms.pairs] = second * cosines[angle] + first * sines[angle];
}`,
      })],
    };
  },
}];
