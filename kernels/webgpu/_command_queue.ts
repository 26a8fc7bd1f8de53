// The order of work: dispatches and copies are recorded into one command encoder and submitted in batches, and what
// goes wrong on the device is kept until somebody waits.

/** Dispatches recorded before they are submitted without being asked, so that the device starts early. */
const BATCH = 64;

/** Bytes that host reads move through; kept for the next read of its size. */
interface Staging {
  readonly buffer: GPUBuffer;
  readonly size: number;
}

/** Records, submits and waits. */
export class CommandQueue {
  readonly #device: GPUDevice;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #labels: string[] = [];
  #lastLabels: readonly string[] = [];
  #lost: string | undefined;
  #staging: Staging | undefined;
  readonly #failures: Error[] = [];
  readonly #pending = new Set<Promise<void>>();
  readonly #loss: Promise<void>;

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#loss = device.lost.then(({ reason, message }) => {
      this.#lost = message === "" ? reason : `${reason}, ${message}`;
    });
  }

  /** Records one dispatch. */
  dispatch(
    label: string,
    pipeline: GPUComputePipeline,
    bindGroup: GPUBindGroup,
    workgroups: readonly [number, number, number],
  ): void {
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass();
    this.#pass.setPipeline(pipeline);
    this.#pass.setBindGroup(0, bindGroup);
    this.#pass.dispatchWorkgroups(...workgroups);
    this.#labels.push(label);
    if (this.#labels.length >= BATCH) this.flush();
  }

  /** Records a copy between device buffers. */
  copy(source: GPUBuffer, target: GPUBuffer, byteLength: number, sourceOffset = 0): void {
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass?.end();
    this.#pass = undefined;
    this.#encoder.copyBufferToBuffer(source, sourceOffset, target, 0, byteLength);
  }

  /** Writes host bytes after all recorded work. */
  write(buffer: GPUBuffer, byteOffset: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.flush();
    this.watch(`write ${bytes.byteLength} bytes`, () => {
      this.#device.queue.writeBuffer(buffer, byteOffset, bytes);
    });
  }

  /** Submits what is recorded. */
  flush(): void {
    if (this.#encoder === undefined) return;
    this.#pass?.end();
    const encoder = this.#encoder;
    const labels = this.#labels;
    if (labels.length > 0) this.#lastLabels = labels;
    this.#encoder = undefined;
    this.#pass = undefined;
    this.#labels = [];
    const label = labels.length === 0 ? "copy a buffer" : `run ${summarize(labels)}`;
    this.watch(label, () => this.#device.queue.submit([encoder.finish()]));
  }

  /** Runs device calls and keeps what the device says about them under a label. */
  watch<T>(label: string, run: () => T): T {
    this.#device.pushErrorScope("out-of-memory");
    this.#device.pushErrorScope("validation");
    const result = run();
    const scopes = Promise.all([this.#device.popErrorScope(), this.#device.popErrorScope()]);
    this.track(scopes.then((errors) => {
      const cause = errors.find((error) => error !== null);
      return cause ? new Error(`Cannot ${label}: ${cause.message.trim()}`, { cause }) : undefined;
    }));
    return result;
  }

  /** Keeps the outcome of something asynchronous until `settle`. */
  track(outcome: Promise<Error | undefined>): void {
    const entry = outcome.then((error) => {
      if (error !== undefined) this.#failures.push(error);
    }, () => {/* the device is gone, which `lost` reports */}).finally(() => this.#pending.delete(entry));
    this.#pending.add(entry);
  }

  /** Copies device bytes to the host, after all earlier work. */
  async read(buffer: GPUBuffer, byteOffset: number, byteLength: number): Promise<ArrayBuffer> {
    const size = Math.max(4, Math.ceil(byteLength / 4) * 4);
    const staging = this.#takeStaging(size);
    this.copy(buffer, staging.buffer, size, byteOffset);
    this.flush();
    const labels = this.#lastLabels;
    try {
      await this.#orLost(staging.buffer.mapAsync(GPUMapMode.READ, 0, size), labels);
      await this.settle();
      const bytes = staging.buffer.getMappedRange(0, size).slice(0, byteLength);
      staging.buffer.unmap();
      this.#keepStaging(staging);
      return bytes;
    } catch (error) {
      staging.buffer.destroy();
      throw error;
    }
  }

  /** Waits for everything submitted, then throws the first failure. */
  async sync(): Promise<void> {
    this.flush();
    await this.#orLost(this.#device.queue.onSubmittedWorkDone(), this.#lastLabels);
    await this.settle();
  }

  /** Waits for the outcomes of device calls and throws the first failure, forgetting all. */
  async settle(): Promise<void> {
    await Promise.all(this.#pending);
    const [first] = this.#failures.splice(0);
    if (first !== undefined) throw first;
  }

  /** Throws if the device is lost.
   * @param label What was about to be done. */
  checkAlive(label: string): void {
    if (this.#lost !== undefined) {
      throw new Error(`Cannot ${label}: the WebGPU device was lost (${this.#lost})`);
    }
  }

  /** Frees what reads keep. */
  dispose(): void {
    this.#encoder = undefined;
    this.#pass = undefined;
    this.#staging?.buffer.destroy();
    this.#staging = undefined;
  }

  /** Waits for device work. When the device is lost, the work ends too, by and by; an implementation that forgets it
   * must not make the caller wait for ever. */
  async #orLost(work: Promise<unknown>, labels: readonly string[]): Promise<void> {
    let failure: unknown;
    const settled = work.catch((error) => {
      failure = error;
    });
    await Promise.race([settled, this.#loss]);
    const label = labels.length === 0 ? "finish device work" : `finish ${summarize(labels)}`;
    if (this.#lost === undefined && failure === undefined) return;
    // Whichever of loss and failure came first, the other may be about to.
    await within(200, this.#lost === undefined ? this.#loss : settled);
    this.checkAlive(label);
    await this.settle();
    throw new Error(`Cannot ${label}: ${failure}`, { cause: failure });
  }

  #takeStaging(size: number): Staging {
    const kept = this.#staging;
    if (kept !== undefined && kept.size >= size && kept.size <= 4 * size + 65536) {
      this.#staging = undefined;
      return kept;
    }
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const buffer = this.watch(`read ${size} bytes`, () => this.#device.createBuffer({ size, usage }));
    return { buffer, size };
  }

  #keepStaging(staging: Staging): void {
    this.#staging?.buffer.destroy();
    this.#staging = staging;
  }
}

/** Waits for a promise, but no longer than some milliseconds. */
async function within(milliseconds: number, promise: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([promise, new Promise((done) => timer = setTimeout(done, milliseconds))]);
  clearTimeout(timer);
}

/** At most four labels, the last ones: an error message, not a log. */
function summarize(labels: readonly string[]): string {
  const shown = labels.slice(-4).join("; ");
  return labels.length > 4 ? `${labels.length} ops, the last of them ${shown}` : shown;
}
