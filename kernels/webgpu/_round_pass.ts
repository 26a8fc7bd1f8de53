// Rounds x to float16 into scratch memory 0, saturating, so that nothing becomes infinite: what products on float16
// matrices read.
import {
  type ComputePass,
  definePass,
  input,
  LINEAR_WORKGROUP,
  linearMain,
  linearWorkgroups,
  scratch,
} from "./program.ts";

const THREADS = 256;

/** The pass for x `[rows, inner]`, `inner` a multiple of 8. */
export function roundingPass(
  { rows, inner }: { readonly rows: number; readonly inner: number },
): ComputePass {
  const units = rows * inner / 8;
  const half = (name: string): string =>
    `pack2x16float(clamp(${name}.xy, LOW, HIGH)), pack2x16float(clamp(${name}.zw, LOW, HIGH))`;
  return definePass({
    bindings: [input(0, "x", "array<vec4<f32>>"), scratch(0, "halves", "array<vec4<u32>>", "write")],
    uniforms: { units },
    workgroups: linearWorkgroups(Math.ceil(units / THREADS)),
    body: `
const LOW = vec2<f32>(-65504.0);
const HIGH = vec2<f32>(65504.0);
${linearMain(THREADS)}
  let unit = ${LINEAR_WORKGROUP} * ${THREADS}u + local;
  if (unit >= uniforms.units) { return; }
  let a = x[unit * 2u];
  let b = x[unit * 2u + 1u];
  halves[unit] = vec4<u32>(${half("a")}, ${half("b")});
}`,
  });
}
