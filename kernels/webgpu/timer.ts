// Times kernels on a GPU by timestamp queries: medians over rounds, buffers rotated so that weights come from memory and
// not from a cache. A GPU that was idle for a moment runs at a fraction of its clock for a second or two, so a reference
// kernel of plain arithmetic is timed with every measurement, and one taken at a low clock is taken again.
import type { DeviceBuffer } from "../backend.ts";
import { WebGpuBuffer } from "./_buffer_pool.ts";
import type { WebGpuBackend, WebGpuKernel } from "./backend.ts";

/** One dispatch to time. */
export interface TimedStep {
  /** What runs. */
  readonly kernel: WebGpuKernel;
  /** Its inputs. */
  readonly inputs: readonly DeviceBuffer[];
  /** Its outputs. */
  readonly outputs: readonly DeviceBuffer[];
}

/** Seconds of one run of all steps. */
export interface Timing {
  /** The median round. */
  readonly median: number;
  /** The fastest round. */
  readonly min: number;
  /** The slowest round. */
  readonly max: number;
  /** Speed of the reference kernel beside it, relative to the fastest seen. */
  readonly clock: number;
}

/** How often to run. */
export interface TimeOptions {
  /** Seconds of work between two timestamps, about. Default 0.004. */
  readonly seconds?: number;
  /** Medians are taken over so many rounds. Default 7. */
  readonly rounds?: number;
}

/** A pipeline with its buffers. */
export interface Launch {
  /** The shader. */
  readonly pipeline: GPUComputePipeline;
  /** Its buffers. */
  readonly bindGroup: GPUBindGroup;
  /** Size of the dispatch. */
  readonly workgroups: readonly [number, number, number];
}

/** Launches of the reference kernel, some 30 milliseconds, that outweigh the wait between two submissions. */
const SPIN = 300;
const LOWEST_CLOCK = 0.85;
const ATTEMPTS = 5;
const MOST_ROUNDS = 31;
const MOST_REFERENCE_WORKGROUPS = 2048;

/** Times kernels of one backend; its device must have the feature `timestamp-query`. */
export class GpuTimer implements Disposable {
  readonly #backend: WebGpuBackend;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #staging: GPUBuffer;
  #reference: Launch;
  #calibrated = false;
  #fastestReference = Infinity;

  /** Prepares queries and the reference kernel. */
  constructor(backend: WebGpuBackend) {
    const { device } = backend;
    const count = 2 * (MOST_ROUNDS + 1);
    this.#backend = backend;
    this.#queries = device.createQuerySet({ type: "timestamp", count });
    this.#resolved = device.createBuffer({
      size: count * 8,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    this.#staging = device.createBuffer({
      size: count * 8,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    this.#reference = referenceLaunch(device);
  }

  /** Runs the reference kernel until the clock no longer rises. */
  async warmUp(seconds = 2.5): Promise<void> {
    await this.#calibrate();
    const begin = performance.now();
    do await this.#measure([[this.#reference]], SPIN, 1); while (performance.now() - begin < seconds * 1e3);
  }

  /**
   * Times a sequence of kernels.
   *
   * @param rotation The same steps on different buffers; run after run takes the next.
   * @param options How often.
   * @returns Seconds of one sequence.
   */
  async time(rotation: readonly (readonly TimedStep[])[], options: TimeOptions = {}): Promise<Timing> {
    const scratch: DeviceBuffer[] = [];
    try {
      return await this.timeLaunches(
        rotation.map((steps) => steps.flatMap((step) => this.#launches(step, scratch))),
        options,
      );
    } finally {
      for (const buffer of scratch) buffer.dispose();
    }
  }

  /** Times a sequence of raw launches, rotated likewise. */
  async timeLaunches(rotation: readonly (readonly Launch[])[], options: TimeOptions = {}): Promise<Timing> {
    const { seconds = 0.004, rounds = 7 } = options;
    await this.#backend.sync();
    await this.#calibrate();
    const probe = await this.#measure(rotation, 4, 3);
    const runs = Math.min(500, Math.max(4, Math.ceil(seconds / Math.max(1e-6, probe.times[1] / 4))));
    for (let attempt = 1;; attempt++) {
      const { times, clock } = await this.#measure(rotation, runs, Math.min(rounds, MOST_ROUNDS));
      if (clock < LOWEST_CLOCK && attempt < ATTEMPTS) {
        await this.warmUp(0.6);
        continue;
      }
      const sorted = times.map((time) => time / runs).sort((a, b) => a - b);
      return { median: sorted[sorted.length >> 1], min: sorted[0], max: sorted[sorted.length - 1], clock };
    }
  }

  /** Sizes the reference kernel: a tenth of a millisecond, as far as that goes. */
  async #calibrate(): Promise<void> {
    if (this.#calibrated) return;
    this.#calibrated = true;
    for (let workgroups = 1; workgroups <= MOST_REFERENCE_WORKGROUPS; workgroups *= 2) {
      this.#reference = { ...this.#reference, workgroups: [workgroups, 1, 1] };
      const { times } = await this.#measure([[this.#reference]], 1, 1);
      if (times[0] > 1e-4) break;
    }
    this.#fastestReference = Infinity;
  }

  #launches({ kernel, inputs, outputs }: TimedStep, keep: DeviceBuffer[]): Launch[] {
    const scratch = kernel.scratch.map((bytes) => this.#backend.allocate(bytes));
    keep.push(...scratch);
    const buffers = { input: inputs, output: outputs, scratch };
    return kernel.passes.map(({ pass, pipeline, layout, uniforms }) => {
      const bound = pass.bindings.map(({ source }) => buffers[source.from][source.index]);
      const resources: GPUBufferBinding[] = bound.map((buffer) => ({ buffer: gpuBuffer(buffer) }));
      if (uniforms !== undefined) resources.push({ buffer: uniforms });
      const entries = resources.map((resource, binding) => ({ binding, resource }));
      return {
        pipeline,
        bindGroup: this.#backend.device.createBindGroup({ layout, entries }),
        workgroups: pass.workgroups,
      };
    });
  }

  /** One submission: the launches for each round between timestamps (an untimed round first), then the reference. */
  async #measure(
    rotation: readonly (readonly Launch[])[],
    runs: number,
    rounds: number,
  ): Promise<{ times: number[]; clock: number }> {
    const { device } = this.#backend;
    const encoder = device.createCommandEncoder();
    let next = 0;
    const record = (index: number | undefined, sets: readonly (readonly Launch[])[], count: number): void => {
      const timestampWrites = index === undefined ? undefined : {
        querySet: this.#queries,
        beginningOfPassWriteIndex: 2 * index,
        endOfPassWriteIndex: 2 * index + 1,
      };
      const pass = encoder.beginComputePass({ timestampWrites });
      for (let run = 0; run < count; run++) {
        for (const { pipeline, bindGroup, workgroups } of sets[next++ % sets.length]) {
          pass.setPipeline(pipeline);
          pass.setBindGroup(0, bindGroup);
          pass.dispatchWorkgroups(...workgroups);
        }
      }
      pass.end();
    };
    record(undefined, [[this.#reference]], SPIN / 3);
    record(undefined, rotation, runs);
    for (let round = 0; round < rounds; round++) record(round, rotation, runs);
    record(rounds, [[this.#reference]], 4);
    const count = 2 * (rounds + 1);
    encoder.resolveQuerySet(this.#queries, 0, count, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#staging, 0, count * 8);
    device.queue.submit([encoder.finish()]);
    await this.#staging.mapAsync(GPUMapMode.READ);
    const stamps = new BigUint64Array(this.#staging.getMappedRange(0, count * 8).slice(0));
    this.#staging.unmap();
    const times = Array.from(
      { length: rounds + 1 },
      (_, i) => Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e9,
    );
    const reference = times.pop()!;
    this.#fastestReference = Math.min(this.#fastestReference, reference);
    return { times, clock: this.#fastestReference / reference };
  }

  /** Frees the query buffers. */
  [Symbol.dispose](): void {
    this.#queries.destroy();
    this.#resolved.destroy();
    this.#staging.destroy();
  }
}

/** Chains of fused multiply-adds, nothing else. */
function referenceLaunch(device: GPUDevice): Launch {
  const code = `
@group(0) @binding(0) var<storage, read_write> sink: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  var a = vec4<f32>(f32(id.x), 1.0, 2.0, 3.0);
  for (var i = 0u; i < 64u; i++) { ${"a = fma(a, vec4<f32>(0.999), vec4<f32>(0.5)); ".repeat(16)} }
  if (a.x + a.y + a.z + a.w == 12345.678) { sink[0] = a.x; }
}`;
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code }), entryPoint: "main" },
  });
  const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE });
  const bindGroup = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  return { pipeline, bindGroup, workgroups: [1, 1, 1] };
}

function gpuBuffer(buffer: DeviceBuffer): GPUBuffer {
  if (buffer instanceof WebGpuBuffer) return buffer.gpu;
  throw new TypeError("Cannot time a buffer of another backend");
}
