// Products whose input is float16, by variants that read float32: a first pass widens x into scratch memory.
import { float16RowBytes, type InputOptions, type KernelSpec } from "../specs.ts";
import {
  type ComputePass,
  definePass,
  input,
  type KernelProgram,
  type KernelVariant,
  LINEAR_WORKGROUP,
  linearMain,
  linearWorkgroups,
  scratch,
} from "./program.ts";

const THREADS = 256;

type WithInput = KernelSpec & InputOptions & { readonly rows: number; readonly inner: number };

/** The pass from input 0 to a scratch buffer. */
function wideningPass({ rows, inner }: WithInput, scratchIndex: number): ComputePass {
  const count = rows * inner;
  return definePass({
    bindings: [input(0, "x", "array<u32>"), scratch(scratchIndex, "wide", "array<f32>", "write")],
    uniforms: { count, inner, words: float16RowBytes(inner) / 4 },
    workgroups: linearWorkgroups(Math.ceil(count / THREADS)),
    body: `
${linearMain(THREADS)}
  let i = ${LINEAR_WORKGROUP} * ${THREADS}u + local;
  if (i >= uniforms.count) { return; }
  let k = i % uniforms.inner;
  wide[i] = unpack2x16float(x[i / uniforms.inner * uniforms.words + k / 2u])[k % 2u];
}`,
  });
}

function widened(spec: WithInput, { passes, scratch: sizes = [] }: KernelProgram): KernelProgram {
  const from = { from: "scratch", index: sizes.length } as const;
  return {
    scratch: [...sizes, spec.rows * spec.inner * 4],
    passes: [
      wideningPass(spec, sizes.length),
      ...passes.map((pass) => ({
        ...pass,
        bindings: pass.bindings.map((binding) =>
          binding.source.from === "input" && binding.source.index === 0
            ? { ...binding, source: from }
            : binding
        ),
      })),
    ],
  };
}

/** Lets a variant that reads float32 take a float16 input too. */
export function widensInput<Spec extends WithInput>(variant: KernelVariant<Spec>): KernelVariant<Spec> {
  return {
    ...variant,
    generate: (spec, capabilities) =>
      spec.inputType === "float16"
        ? widened(spec, variant.generate({ ...spec, inputType: "float32" }, capabilities))
        : variant.generate(spec, capabilities),
  };
}
