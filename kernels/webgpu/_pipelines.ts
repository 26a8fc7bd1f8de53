// Compiled shaders, layouts and uniform buffers, each made once per device and shared by every kernel that needs it.
import type { Binding, ComputePass } from "./program.ts";

/** A pass made ready: what a dispatch needs besides its buffers. */
export interface ReadyPass {
  /** The pass. */
  readonly pass: ComputePass;
  /** The compiled shader. */
  readonly pipeline: GPUComputePipeline;
  /** The layout of its bind group. */
  readonly layout: GPUBindGroupLayout;
  /** Values of the spec, when the pass has any. */
  readonly uniforms: GPUBuffer | undefined;
  /** Bind groups of earlier dispatches, by buffer numbers. */
  readonly bindGroups: Map<string, GPUBindGroup>;
}

/** Compiles passes, keeping what can be shared. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();
  readonly #uniforms = new Map<string, GPUBuffer>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Number of distinct shaders compiled. */
  get size(): number {
    return this.#pipelines.size;
  }

  /** Compiles one pass. */
  async prepare(pass: ComputePass): Promise<ReadyPass> {
    const layout = this.#layoutOf(pass);
    let pipeline = this.#pipelines.get(pass.wgsl);
    if (pipeline === undefined) {
      pipeline = this.#compile(pass.wgsl, layout);
      this.#pipelines.set(pass.wgsl, pipeline);
    }
    return {
      pass,
      pipeline: await pipeline,
      layout,
      uniforms: await this.#uniformsOf(pass.uniforms),
      bindGroups: new Map(),
    };
  }

  /** Frees the uniform buffers and forgets everything. */
  dispose(): void {
    for (const buffer of this.#uniforms.values()) buffer.destroy();
    this.#uniforms.clear();
    this.#pipelines.clear();
    this.#layouts.clear();
  }

  #layoutOf(pass: ComputePass): GPUBindGroupLayout {
    const hasUniforms = pass.uniforms.length > 0;
    const key = pass.bindings.map(({ writes }) => writes ? "w" : "r").join("") + (hasUniforms ? "u" : "");
    const known = this.#layouts.get(key);
    if (known !== undefined) return known;
    const types: GPUBufferBindingType[] = pass.bindings.map(bindingType);
    if (hasUniforms) types.push("uniform");
    const layout = this.#device.createBindGroupLayout({
      entries: types.map((type, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type },
      })),
    });
    this.#layouts.set(key, layout);
    return layout;
  }

  async #compile(code: string, layout: GPUBindGroupLayout): Promise<GPUComputePipeline> {
    const device = this.#device;
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ code });
    const scope = device.popErrorScope();
    const pipeline = device.createComputePipelineAsync({
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
    });
    const [invalid, outcome] = await Promise.all([scope, settle(pipeline)]);
    if (invalid === null && "value" in outcome) return outcome.value;
    this.#pipelines.delete(code);
    const info = await module.getCompilationInfo();
    const messages = [...info.messages ?? []].filter(({ type }) => type === "error")
      .map(({ lineNum, message }) => `line ${lineNum}: ${message}`);
    const reason = "error" in outcome ? outcome.error : invalid;
    const text = messages.length > 0 ? messages.join("; ") : invalid?.message ?? describe(reason);
    throw new TypeError(text.trim(), { cause: reason });
  }

  async #uniformsOf(values: readonly number[]): Promise<GPUBuffer | undefined> {
    if (values.length === 0) return undefined;
    const key = values.join(" ");
    const known = this.#uniforms.get(key);
    if (known !== undefined) return known;
    // The write is in a scope as well: into a buffer that could not be had, it is invalid.
    this.#device.pushErrorScope("validation");
    this.#device.pushErrorScope("out-of-memory");
    const buffer = this.#device.createBuffer({
      size: Math.ceil(values.length / 4) * 16,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    this.#device.queue.writeBuffer(buffer, 0, Uint32Array.from(values));
    const scopes = [this.#device.popErrorScope(), this.#device.popErrorScope()];
    this.#uniforms.set(key, buffer);
    const [outOfMemory, invalid] = await Promise.all(scopes);
    const cause = outOfMemory ?? invalid;
    if (cause === null) return buffer;
    this.#uniforms.delete(key);
    buffer.destroy();
    throw new RangeError(outOfMemory === null ? cause.message : "out of memory", { cause });
  }
}

function bindingType({ writes }: Binding): GPUBufferBindingType {
  return writes ? "storage" : "read-only-storage";
}

async function settle<T>(promise: Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await promise };
  } catch (error) {
    return { error };
  }
}

function describe(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
