// Ops that compute each element of the result from the same element of the inputs.
import {
  type ComputePass,
  definePass,
  input,
  type KernelProgram,
  LINEAR_WORKGROUP,
  linearMain,
  linearWorkgroups,
  output,
} from "./program.ts";

/** An element-wise op. */
export interface Elementwise {
  /** Number of elements. */
  readonly count: number;
  /** Names of the inputs in WGSL. */
  readonly inputs: readonly string[];
  /** WGSL expression of the result; inputs are read as `name[i]`, one element or four. */
  readonly expression: string;
  /** WGSL functions that the expression calls, given the type of what `name[i]` is. */
  readonly functions?: (type: string) => string;
}

/** Writes the program; any one input may be the output itself. */
export function elementwiseProgram(op: Elementwise): KernelProgram {
  return {
    passes: [elementwisePass(op)],
    inPlace: op.inputs.map((name) => [elementwisePass(op, name)]),
  };
}

/** The pass, four elements per invocation where the count allows it. The input named `shared` is the output. */
function elementwisePass(
  { count, inputs, expression, functions }: Elementwise,
  shared?: string,
): ComputePass {
  const lanes = count % 4 === 0 ? 4 : 1;
  const element = lanes === 4 ? "vec4<f32>" : "f32";
  const type = `array<${element}>`;
  const items = count / lanes;
  const bindings = inputs.map((name, i) => input(i, name, type)).filter(({ name }) => name !== shared);
  return definePass({
    bindings: [...bindings, output(0, "y", type)],
    uniforms: { items },
    workgroups: linearWorkgroups(Math.ceil(items / 256)),
    body: `
${functions?.(element) ?? ""}
${linearMain(256)}
  let i = ${LINEAR_WORKGROUP} * 256u + local;
  if (i < uniforms.items) {
    y[i] = ${shared === undefined ? expression : expression.replaceAll(`${shared}[i]`, "y[i]")};
  }
}`,
  });
}
