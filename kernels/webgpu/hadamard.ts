// The Hadamard rotation. Powers of two up to a chunk that fits workgroup memory run as a fast transform there; what
// remains of a block, larger powers of two and the explicit matrix, is a small dense mix of whole chunks in a second pass.
import type { HadamardSpec } from "../quantization_specs.ts";
import {
  type Binding,
  type ComputePass,
  definePass,
  input,
  type KernelVariant,
  LINEAR_WORKGROUP,
  linearMain,
  linearWorkgroups,
  output,
  scratch,
} from "./program.ts";

const THREADS = 256;
/** Elements of a workgroup: 16 KiB, which every device has. */
const CHUNK = 4096;

/** Elements that the first pass transforms together. */
function chunkOf({ blockSize, order }: HadamardSpec): number {
  return Math.min(blockSize / order, CHUNK);
}

function signsBinding(spec: HadamardSpec): Binding {
  return input(spec.order > 1 ? 2 : 1, "signs", "array<f32>");
}

/** Fast transforms of all chunks; `last` when nothing remains to be mixed. */
function chunkPass(spec: HadamardSpec, last: boolean): ComputePass {
  const { rows, columns, blockSize, signs, inverse } = spec;
  const chunk = chunkOf(spec);
  const span = Math.max(chunk, THREADS);
  const signIn = signs && !inverse ? " * signs[i % uniforms.columns]" : "";
  const signOut = last && signs && inverse ? " * signs[i % uniforms.columns]" : "";
  const scale = last ? ` * ${1 / Math.sqrt(blockSize)}` : "";
  return definePass({
    bindings: [
      input(0, "x", "array<f32>"),
      ...(signIn || signOut ? [signsBinding(spec)] : []),
      last ? output(0, "y", "array<f32>") : scratch(0, "y", "array<f32>", "write"),
    ],
    uniforms: { count: rows * columns, columns },
    workgroups: linearWorkgroups(Math.ceil(rows * columns / span)),
    body: `
var<workgroup> values: array<f32, ${span}>;
${linearMain(THREADS)}
  let start = ${LINEAR_WORKGROUP} * ${span}u;
  for (var j = local; j < ${span}u; j += ${THREADS}u) {
    let i = min(start + j, uniforms.count - 1u);
    values[j] = x[i]${signIn};
  }
  for (var half = 1u; half < ${chunk}u; half <<= 1u) {
    workgroupBarrier();
    for (var pair = local; pair < ${span / 2}u; pair += ${THREADS}u) {
      let first = pair / half * 2u * half + pair % half;
      let a = values[first];
      let b = values[first + half];
      values[first] = a + b;
      values[first + half] = a - b;
    }
  }
  workgroupBarrier();
  for (var j = local; j < ${span}u; j += ${THREADS}u) {
    let i = start + j;
    if (i < uniforms.count) { y[i] = values[j]${scale}${signOut}; }
  }
}`,
  });
}

/** Mixes the chunks of each block by `H_order (x) H_parts`, one element per invocation. */
function mixPass(spec: HadamardSpec): ComputePass {
  const { rows, columns, blockSize, order, signs, inverse } = spec;
  const chunk = chunkOf(spec);
  const parts = blockSize / order / chunk;
  const place = inverse
    ? `target_chunk / ${parts}u * ${order}u + source / ${parts}u`
    : `source / ${parts}u * ${order}u + target_chunk / ${parts}u`;
  return definePass({
    bindings: [
      scratch(0, "x", "array<f32>", "read"),
      ...(order > 1 ? [input(1, "matrix", "array<f32>")] : []),
      ...(signs && inverse ? [signsBinding(spec)] : []),
      output(0, "y", "array<f32>"),
    ],
    uniforms: { count: rows * columns, columns },
    workgroups: linearWorkgroups(Math.ceil(rows * columns / THREADS)),
    body: `
${linearMain(THREADS)}
  let i = ${LINEAR_WORKGROUP} * ${THREADS}u + local;
  if (i >= uniforms.count) { return; }
  let start = i / ${blockSize}u * ${blockSize}u + i % ${chunk}u;
  let target_chunk = i % ${blockSize}u / ${chunk}u;
  var sum = 0.0;
  for (var source = 0u; source < ${order * parts}u; source++) {
    let odd = countOneBits(source & target_chunk & ${parts - 1}u) & 1u;
    let value = select(1.0, -1.0, odd == 1u) * x[start + source * ${chunk}u];
    sum += ${order > 1 ? `matrix[${place}] * value` : "value"};
  }
  y[i] = sum * ${1 / Math.sqrt(blockSize)}${signs && inverse ? " * signs[i % uniforms.columns]" : ""};
}`,
  });
}

/** Variants of `hadamard`. */
export const hadamardVariants: readonly KernelVariant<HadamardSpec>[] = [{
  name: "chunks",
  supports: () => true,
  generate: (spec) =>
    chunkOf(spec) === spec.blockSize
      ? { passes: [chunkPass(spec, true)] }
      : { passes: [chunkPass(spec, false), mixPass(spec)], scratch: [spec.rows * spec.columns * 4] },
}];
