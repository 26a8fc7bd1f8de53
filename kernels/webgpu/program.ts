// What a shader generator returns: passes of WGSL with the buffers they bind, as plain data. `definePass` writes the
// declarations, so that a generator holds only the computation.
import type { KernelSpec } from "../specs.ts";
import type { WebGpuCapabilities } from "./capabilities.ts";

/** Where the buffer of a binding comes from: an argument of the dispatch, or scratch memory of the program. */
export type BindingSource =
  | { readonly from: "input"; readonly index: number }
  | { readonly from: "output"; readonly index: number }
  | { readonly from: "scratch"; readonly index: number };

/** One storage buffer of a pass. */
export interface Binding {
  /** The name of the variable in WGSL. */
  readonly name: string;
  /** The type of the variable in WGSL, such as `array<vec4<u32>>`. */
  readonly type: string;
  /** Whether it is declared writable: the shader writes to it, or reads it `inTextOrder`. */
  readonly writes: boolean;
  /** Where the buffer comes from. */
  readonly source: BindingSource;
}

/** Workgroups along x, y and z. */
export type Workgroups = readonly [x: number, y: number, z: number];

/** One dispatch of one shader. */
export interface ComputePass {
  /** The whole shader; its entry point is `main`. Equal texts share one pipeline. */
  readonly wgsl: string;
  /** Storage buffers; binding `i` of group 0 is entry `i`. */
  readonly bindings: readonly Binding[];
  /** Values of the uniform buffer, in order; bound after the storage buffers when there are any. */
  readonly uniforms: readonly number[];
  /** Size of the dispatch. */
  readonly workgroups: Workgroups;
}

/** All that runs when a kernel is dispatched. */
export interface KernelProgram {
  /** Dispatches, in order. */
  readonly passes: readonly ComputePass[];
  /** Sizes in bytes of temporary buffers that the passes share. */
  readonly scratch?: readonly number[];
  /**
   * Passes to run instead when input `i` is the same buffer as output 0, at index `i`; they must not bind that input.
   * Where there are none, such an input is copied first, since WebGPU forbids reading and writing one buffer in a dispatch.
   */
  readonly inPlace?: readonly (readonly ComputePass[])[];
}

/** One way to compute an op. */
export interface KernelVariant<Spec extends KernelSpec = KernelSpec> {
  /** Unique among the variants of its op, such as `tiled_dot4_64x64`. */
  readonly name: string;
  /** Whether this variant computes this spec on such a device. */
  supports(spec: Spec, capabilities: WebGpuCapabilities): boolean;
  /** Whether it is the one to take when nothing was measured; true when left out. Only asked if it supports the spec. */
  suits?(spec: Spec, capabilities: WebGpuCapabilities): boolean;
  /** Writes the program. */
  generate(spec: Spec, capabilities: WebGpuCapabilities): KernelProgram;
}

/** What `definePass` puts together. */
export interface PassDefinition {
  /** `enable` directives, such as `f16`. */
  readonly enables?: readonly string[];
  /** Storage buffers in the order of their binding numbers. */
  readonly bindings: readonly Binding[];
  /** Unsigned integers that change between specs which should share a pipeline; read as `uniforms.name`. */
  readonly uniforms?: Readonly<Record<string, number>>;
  /** Everything after the declarations, with the entry point `main`. */
  readonly body: string;
  /** Size of the dispatch. */
  readonly workgroups: Workgroups;
}

/**
 * Puts a pass together: directives, declarations of its buffers and uniforms, then the body.
 *
 * @param definition Its parts.
 * @returns The pass.
 */
export function definePass(definition: PassDefinition): ComputePass {
  const { enables = [], bindings, uniforms = {}, body, workgroups } = definition;
  const names = Object.keys(uniforms);
  const lines = enables.map((name) => `enable ${name};`);
  bindings.forEach(({ name, type, writes }, i) =>
    lines.push(`@group(0) @binding(${i}) var<storage, ${writes ? "read_write" : "read"}> ${name}: ${type};`)
  );
  if (names.length > 0) {
    lines.push(`struct Uniforms { ${names.map((name) => `${name}: u32`).join(", ")} }`);
    lines.push(`@group(0) @binding(${bindings.length}) var<uniform> uniforms: Uniforms;`);
  }
  return {
    wgsl: `${lines.join("\n")}\n\n${body.trim()}\n`,
    bindings,
    uniforms: Object.values(uniforms),
    workgroups,
  };
}

/** A binding that reads input `index` of the dispatch. */
export function input(index: number, name: string, type: string): Binding {
  return { name, type, writes: false, source: { from: "input", index } };
}

/** A binding that writes output `index` of the dispatch. */
export function output(index: number, name: string, type: string): Binding {
  return { name, type, writes: true, source: { from: "output", index } };
}

/** A binding to scratch buffer `index` of the program. */
export function scratch(index: number, name: string, type: string, access: "read" | "write"): Binding {
  return { name, type, writes: access === "write", source: { from: "scratch", index } };
}

/**
 * A binding that a shader only reads, declared as if it wrote to it: so declared, a compiler keeps the reads where the text
 * has them, between its barriers, instead of moving them to where it sees fit.
 */
export function inTextOrder(binding: Binding): Binding {
  return { ...binding, writes: true };
}

/**
 * Spreads workgroups that form a line over two dimensions, since one dimension holds at most 65,535. In the shader,
 * `LINEAR_WORKGROUP` computes the index back; indices at or above `count` occur and must be skipped.
 *
 * @param count Number of workgroups needed.
 * @returns Size of the dispatch.
 */
export function linearWorkgroups(count: number): Workgroups {
  const rows = Math.max(1, Math.ceil(count / 65535));
  return [Math.max(1, Math.ceil(count / rows)), rows, 1];
}

/** The index of a workgroup in a `linearWorkgroups` dispatch, given builtins `workgroup` and `grid` (`num_workgroups`). */
export const LINEAR_WORKGROUP = "(workgroup.y * grid.x + workgroup.x)";

/** Opens the main function of a shader with `linearWorkgroups`: `workgroup`, `grid`, and an invocation's number, `local`. */
export const linearMain = (threads: number): string =>
  `@compute @workgroup_size(${threads})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {`;

/**
 * Variants in the order in which a device should try them: those that suit a spec first.
 *
 * @param variants The variants of an op, the preferred first.
 * @param spec The op.
 * @param capabilities What the device can do.
 * @returns The variants that support the spec.
 */
export function inOrder<Spec extends KernelSpec>(
  variants: readonly KernelVariant<Spec>[],
  spec: Spec,
  capabilities: WebGpuCapabilities,
): KernelVariant<Spec>[] {
  const supported = variants.filter((variant) => variant.supports(spec, capabilities));
  const suits = supported.map((variant) => variant.suits?.(spec, capabilities) ?? true);
  return [...supported.filter((_, i) => suits[i]), ...supported.filter((_, i) => !suits[i])];
}
