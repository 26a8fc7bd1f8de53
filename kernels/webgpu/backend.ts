// The WebGPU backend: chooses a variant for each spec, keeps its pipelines, and records dispatches in order.
import type { Backend, BackendLimits, DeviceBuffer, Kernel, ReadOptions } from "../backend.ts";
import { checkBuffers, specKey, unsupported } from "../signature.ts";
import type { KernelSpec } from "../specs.ts";
import { BufferPool, WebGpuBuffer } from "./_buffer_pool.ts";
import { CommandQueue } from "./_command_queue.ts";
import { PipelineCache, type ReadyPass } from "./_pipelines.ts";
import { readCapabilities, type WebGpuCapabilities } from "./capabilities.ts";
import { requestPlatformDevice } from "./device.ts";
import type { ComputePass, KernelProgram, KernelVariant } from "./program.ts";
import { variantsFor } from "./registry.ts";

/**
 * Decides between the variants that can compute a spec, such as an autotuner. `candidates` is never empty and is in
 * the library's order of preference.
 */
export type VariantChooser = (
  spec: KernelSpec,
  candidates: readonly KernelVariant[],
  backend: WebGpuBackend,
) => KernelVariant | Promise<KernelVariant>;

/** Options for `createWebGpuBackend`. */
export interface WebGpuBackendOptions {
  /** Device to run on. Default: a new device of `navigator.gpu` with every feature and limit its adapter offers. */
  readonly device?: GPUDevice;
  /** Chooses between variants. Default: the first candidate. */
  readonly choose?: VariantChooser;
  /** What `allowFloat16` is for products that leave it open. Where a device has matrix units they then take over dense layers
   * of float16 weights and weight-only layers of 4 or 8 bits; where its subgroups have 32 invocations, 4-bit integers decode
   * with a third fewer dot products. Default false. */
  readonly allowFloat16?: boolean;
  /** Most bytes of freed buffers kept for reuse. Default 256 MiB. */
  readonly keepBytes?: number;
}

const BIND_GROUPS_KEPT = 64;

/** A prepared kernel of the WebGPU backend. */
export interface WebGpuKernel extends Kernel {
  /** Name of the variant that computes it. */
  readonly variant: string;
  /** Its compiled passes. */
  readonly passes: readonly ReadyPass[];
  /** Those for an input that is output 0, by the number of the input. */
  readonly inPlace: readonly (readonly ReadyPass[])[];
  /** Sizes of its temporary buffers, bytes. */
  readonly scratch: readonly number[];
}

/** Runs kernels on a `GPUDevice`; made by {@linkcode createWebGpuBackend}. */
export class WebGpuBackend implements Backend {
  readonly name = "webgpu";
  readonly description: string;
  readonly features: ReadonlySet<string>;
  readonly limits: BackendLimits;
  /** The device that runs the work. */
  readonly device: GPUDevice;
  /** What the device can do. */
  readonly capabilities: WebGpuCapabilities;
  readonly #queue: CommandQueue;
  readonly #pool: BufferPool;
  readonly #pipelines: PipelineCache;
  readonly #kernels = new Map<string, Promise<WebGpuKernel>>();
  readonly #choose: VariantChooser;
  readonly #allowFloat16: boolean;
  readonly #ownsDevice: boolean;
  #disposed = false;

  /** Use {@linkcode createWebGpuBackend}. */
  constructor(device: GPUDevice, capabilities: WebGpuCapabilities, options: WebGpuBackendOptions) {
    this.device = device;
    this.capabilities = capabilities;
    this.description = capabilities.adapter;
    this.features = new Set<string>(device.features);
    const { maxBufferSize, maxStorageBufferBindingSize } = capabilities.limits;
    this.limits = { maxBufferBytes: Math.min(maxBufferSize, maxStorageBufferBindingSize) };
    this.#ownsDevice = options.device === undefined;
    this.#allowFloat16 = options.allowFloat16 ?? false;
    this.#choose = options.choose ?? ((_spec, candidates) => candidates[0]);
    this.#queue = new CommandQueue(device);
    this.#pipelines = new PipelineCache(device);
    this.#pool = new BufferPool(device, {
      maxBytes: this.limits.maxBufferBytes,
      keepBytes: options.keepBytes ?? 256 * 2 ** 20,
      beforeDestroy: () => this.#queue.flush(),
      onError: (outcome) => this.#queue.track(outcome),
    });
  }

  /** GPU memory in buffers, bytes: held by callers, and kept for reuse. */
  get memory(): { readonly usedBytes: number; readonly keptBytes: number } {
    return { usedBytes: this.#pool.usedBytes, keptBytes: this.#pool.keptBytes };
  }

  allocate(byteLength: number): DeviceBuffer {
    this.#check(`allocate ${byteLength} bytes`);
    return this.#pool.allocate(byteLength);
  }

  write(buffer: DeviceBuffer, data: ArrayBufferView<ArrayBuffer>, byteOffset = 0): void {
    this.#check(`write ${data.byteLength} bytes`);
    checkRange("write", buffer, byteOffset, data.byteLength);
    const { gpu } = this.#own(buffer);
    if (data.byteLength === 0) return; // Deno 2.9.6 dies of an empty write
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#queue.write(gpu, byteOffset, padded(bytes));
  }

  async read(buffer: DeviceBuffer, options: ReadOptions = {}): Promise<ArrayBuffer> {
    const { byteOffset = 0, byteLength = buffer.byteLength - byteOffset } = options;
    this.#check(`read ${byteLength} bytes`);
    checkRange("read", buffer, byteOffset, byteLength);
    return await this.#queue.read(this.#own(buffer).gpu, byteOffset, byteLength);
  }

  supports(spec: KernelSpec): boolean {
    return variantsFor(spec, this.capabilities).length > 0;
  }

  async prepare(spec: KernelSpec): Promise<WebGpuKernel> {
    const key = specKey(spec);
    this.#check(`prepare ${key}`);
    const known = this.#kernels.get(key);
    if (known !== undefined) return await known;
    const kernel = this.#prepare(spec);
    this.#kernels.set(key, kernel);
    kernel.catch(() => this.#kernels.delete(key));
    return await kernel;
  }

  /**
   * Makes a spec ready to run by a given variant, whatever the chooser would take. Not cached.
   *
   * @param spec The op.
   * @param variant The variant; it must support the spec.
   * @returns The kernel.
   * @throws {TypeError} If the device refuses the shader; the message names op, shapes and variant.
   */
  async prepareVariant(spec: KernelSpec, variant: KernelVariant): Promise<WebGpuKernel> {
    const label = `${specKey(spec)} (${variant.name})`;
    const program = variant.generate(spec, this.capabilities);
    this.#checkProgram(label, program);
    try {
      const { scratch = [], inPlace = [] } = program;
      const ready = (passes: readonly ComputePass[]): Promise<ReadyPass[]> =>
        Promise.all(passes.map((pass) => this.#pipelines.prepare(pass)));
      return {
        spec,
        variant: variant.name,
        passes: await ready(program.passes),
        inPlace: await Promise.all(inPlace.map(ready)),
        scratch,
      };
    } catch (cause) {
      this.#check(`prepare ${label}`);
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TypeError(`Cannot prepare ${label}: ${reason}`, { cause });
    }
  }

  dispatch(kernel: Kernel, inputs: readonly DeviceBuffer[], outputs: readonly DeviceBuffer[]): void {
    const { spec } = kernel;
    const label = specKey(spec);
    this.#check(`run ${label}`);
    if (!isWebGpuKernel(kernel)) throw new TypeError(`Cannot run ${label}: another backend prepared it`);
    checkBuffers(spec, inputs, outputs);
    const targets = outputs.map((buffer) => this.#own(buffer));
    const temporary: WebGpuBuffer[] = [];
    const owned = inputs.map((buffer) => this.#own(buffer));
    const bindsWritably = kernel.passes.some(({ pass }) =>
      pass.bindings.some(({ writes, source }) => writes && source.from === "input")
    );
    const clashes = owned.map((source, i) =>
      targets.includes(source) || (bindsWritably && owned.indexOf(source) < i)
    );
    const shared = owned.filter((_, i) => clashes[i]);
    const inPlace = shared.length === 1 && shared[0] === targets[0]
      ? kernel.inPlace[owned.indexOf(targets[0])]
      : undefined;
    const sources = owned.map((source, i) => {
      if (inPlace !== undefined || !clashes[i]) return source;
      // WebGPU forbids binding one buffer twice in a dispatch if either binding is writable.
      const copy = this.#pool.allocate(source.byteLength);
      this.#queue.copy(source.gpu, copy.gpu, Math.ceil(source.byteLength / 4) * 4);
      temporary.push(copy);
      return copy;
    });
    const scratch = kernel.scratch.map((bytes) => this.#pool.allocate(bytes));
    const buffers = { input: sources, output: targets, scratch };
    for (const ready of inPlace ?? kernel.passes) {
      const bound = ready.pass.bindings.map(({ source }) => buffers[source.from][source.index]);
      this.#queue.dispatch(
        label,
        ready.pipeline,
        this.#bindGroup(label, ready, bound),
        ready.pass.workgroups,
      );
    }
    // Later users of this memory are recorded after these passes, so it may be handed out again at once.
    for (const buffer of [...temporary, ...scratch]) buffer.dispose();
  }

  async sync(): Promise<void> {
    this.#check("wait for the device");
    await this.#queue.sync();
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#queue.dispose();
    this.#pool.dispose();
    this.#pipelines.dispose();
    this.#kernels.clear();
    if (this.#ownsDevice) this.device.destroy();
  }

  /** The same as `dispose`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  async #prepare(given: KernelSpec): Promise<WebGpuKernel> {
    const open = (given.op === "dense_linear" || given.op === "codebook_linear") &&
      given.allowFloat16 === undefined;
    const spec = open && this.#allowFloat16 ? { ...given, allowFloat16: true } : given;
    const candidates = variantsFor(spec, this.capabilities);
    if (candidates.length === 0) throw unsupported(this.name, spec);
    return await this.prepareVariant(spec, await this.#choose(spec, candidates, this));
  }

  #bindGroup(label: string, ready: ReadyPass, bound: readonly WebGpuBuffer[]): GPUBindGroup {
    const key = bound.map(({ id, byteLength }) => `${id}:${byteLength}`).join(" ");
    const known = ready.bindGroups.get(key);
    if (known !== undefined) return known;
    const resources: GPUBufferBinding[] = bound.map(({ gpu, byteLength }) => ({
      buffer: gpu,
      size: Math.max(16, Math.ceil(byteLength / 16) * 16),
    }));
    if (ready.uniforms !== undefined) resources.push({ buffer: ready.uniforms });
    const bindGroup = this.#queue.watch(`bind the buffers of ${label}`, () =>
      this.device.createBindGroup({
        layout: ready.layout,
        entries: resources.map((resource, binding) => ({ binding, resource })),
      }));
    if (ready.bindGroups.size >= BIND_GROUPS_KEPT) ready.bindGroups.clear();
    ready.bindGroups.set(key, bindGroup);
    return bindGroup;
  }

  #checkProgram(label: string, { passes }: KernelProgram): void {
    const { maxComputeWorkgroupsPerDimension: most, maxStorageBuffersPerShaderStage: buffers } =
      this.capabilities.limits;
    for (const { workgroups, bindings } of passes) {
      if (workgroups.some((count) => count > most)) {
        throw new RangeError(
          `Cannot prepare ${label}: it needs ${
            workgroups.join(" x ")
          } workgroups and the device allows ${most}`,
        );
      }
      if (bindings.length > buffers) {
        throw new RangeError(
          `Cannot prepare ${label}: it binds ${bindings.length} buffers and the device allows ${buffers}`,
        );
      }
    }
  }

  #own(buffer: DeviceBuffer): WebGpuBuffer {
    if (buffer instanceof WebGpuBuffer && buffer.pool === this.#pool) return buffer;
    throw new TypeError(`Cannot use a buffer of ${buffer.byteLength} bytes: another backend allocated it`);
  }

  #check(label: string): void {
    if (this.#disposed) throw new TypeError(`Cannot ${label}: the WebGPU backend is disposed`);
    this.#queue.checkAlive(label);
  }
}

/**
 * Creates a backend that runs kernels through WebGPU.
 *
 * @param options Device and choices; every member is optional.
 * @returns The backend. Dispose it to free its memory; a device passed in stays alive.
 * @throws {TypeError} If no device was passed and the platform has no WebGPU or no adapter answers.
 */
export async function createWebGpuBackend(options: WebGpuBackendOptions = {}): Promise<WebGpuBackend> {
  const device = options.device ?? await requestPlatformDevice();
  return new WebGpuBackend(device, await readCapabilities(device), options);
}

function isWebGpuKernel(kernel: Kernel): kernel is WebGpuKernel {
  return "passes" in kernel && "variant" in kernel;
}

function checkRange(verb: string, buffer: DeviceBuffer, byteOffset: number, byteLength: number): void {
  if (byteOffset % 4 !== 0 || byteOffset < 0) {
    throw new RangeError(`Cannot ${verb} at byte ${byteOffset}: the offset must be a multiple of 4`);
  }
  if (byteLength < 0 || byteOffset + byteLength > buffer.byteLength) {
    throw new RangeError(
      `Cannot ${verb} ${byteLength} bytes at byte ${byteOffset} of a buffer of ${buffer.byteLength} bytes`,
    );
  }
}

/** WebGPU writes whole words: a ragged tail is padded with zeros, which fall into the padding of the buffer. */
function padded(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (bytes.length % 4 === 0) return bytes;
  const copy = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  copy.set(bytes);
  return copy;
}
