// What a backend is: buffers, kernels and an order. Types only; no implementation is imported here, so that
// choosing one backend never loads another.
import type { KernelSpec } from "./specs.ts";

/** A run of bytes that lives on a backend's device. */
export interface DeviceBuffer extends Disposable {
  /** Usable size in bytes. */
  readonly byteLength: number;
  /** Frees the memory. Calling it twice is allowed; using the buffer afterwards is not. */
  dispose(): void;
}

/** A spec made ready to run. */
export interface Kernel {
  /** What it computes. */
  readonly spec: KernelSpec;
}

/** What a device allows. */
export interface BackendLimits {
  /** Largest buffer, in bytes. */
  readonly maxBufferBytes: number;
}

/** Part of a buffer to read. */
export interface ReadOptions {
  /** First byte; a multiple of 4. Default 0. */
  readonly byteOffset?: number;
  /** Number of bytes. Default: to the end of the buffer. */
  readonly byteLength?: number;
}

/**
 * A place where kernels run. Work is done in the order of the calls: a `dispatch` sees every earlier `write` and
 * `dispatch`, a `read` waits for all of them. Nothing falls back silently: `prepare` throws for a spec that `supports` denies.
 */
export interface Backend extends Disposable {
  /** Short name: `reference`, `wasm` or `webgpu`. */
  readonly name: string;
  /** What a person wants to know: the adapter, or the number of threads. */
  readonly description: string;
  /** Optional abilities found on this device, such as `shader-f16` or `relaxed-simd`. */
  readonly features: ReadonlySet<string>;
  /** What the device allows. */
  readonly limits: BackendLimits;
  /** Takes memory on the device. Its contents are undefined until written.
   * @throws {RangeError} If the device cannot hold it. */
  allocate(byteLength: number): DeviceBuffer;
  /** Copies host bytes into a buffer. `byteOffset` counts bytes of the buffer and is a multiple of 4.
   * @throws {RangeError} If they do not fit. */
  write(buffer: DeviceBuffer, data: ArrayBufferView<ArrayBuffer>, byteOffset?: number): void;
  /** Copies device bytes to the host, after all earlier work. */
  read(buffer: DeviceBuffer, options?: ReadOptions): Promise<ArrayBuffer>;
  /** Whether `prepare` accepts this spec here. */
  supports(spec: KernelSpec): boolean;
  /** Makes a spec ready to run; cached, so calling it again with an equal spec is cheap.
   * @throws {TypeError} If the backend lacks it: the message names op, formats and backend. */
  prepare(spec: KernelSpec): Promise<Kernel>;
  /** Queues one run of a kernel. Buffers come in the order that the spec documents.
   * @throws {RangeError} If a buffer is missing or too small for the spec. */
  dispatch(kernel: Kernel, inputs: readonly DeviceBuffer[], outputs: readonly DeviceBuffer[]): void;
  /** Waits until all queued work is done, and throws what went wrong in it. */
  sync(): Promise<void>;
  /** Frees everything the backend holds. */
  dispose(): void;
}
