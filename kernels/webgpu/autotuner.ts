// Chooses between kernel variants by timing them on the device, once per class of shapes, and remembers the choice.
import type { DeviceBuffer } from "../backend.ts";
import { kernelSignature } from "../signature.ts";
import type { KernelSpec } from "../specs.ts";
import { WebGpuBuffer } from "./_buffer_pool.ts";
import type { VariantChooser, WebGpuBackend } from "./backend.ts";
import type { KernelVariant } from "./program.ts";
import { GpuTimer } from "./timer.ts";

/** Names of chosen variants by device and class of shapes; plain data, to be kept between runs. */
export type TuningTable = Record<string, string>;

/** Options for `createAutotuner`. */
export interface AutotunerOptions {
  /** Choices made earlier; new ones are added to it. Default: none. */
  readonly table?: TuningTable;
  /** Whether to time candidates that the table does not know. Default true; without, they get the library's default. */
  readonly measure?: boolean;
  /** Told about each measured candidate, in seconds. */
  readonly onTiming?: (key: string, variant: string, seconds: number) => void;
}

/** Larger ops are worth no timing, only their default: what they need of memory could break the program. */
const MOST_BYTES = 2 ** 31;

/**
 * The class that a spec belongs to: equal but for the number of rows, which counts by powers of two, since it changes
 * with every prompt while weights stay.
 *
 * @param adapter Name of the device.
 * @param spec The op.
 * @returns A key of the tuning table.
 */
export function tuningKey(adapter: string, spec: KernelSpec): string {
  const { rows, ...rest } = { rows: 0, ...spec };
  const members = Object.entries(rest).sort(([a], [b]) => a < b ? -1 : 1).map(([name, value]) =>
    `${name}=${value}`
  );
  return [adapter, ...members, `rows<=${2 ** Math.ceil(Math.log2(Math.max(1, rows)))}`].join(" ");
}

/**
 * A chooser for `createWebGpuBackend` that times the variants of an op with timestamp queries when the op is first
 * prepared. Without the feature `timestamp-query`, and where an op has one variant, it takes the library's default.
 *
 * @param options Earlier choices, and whether to measure.
 * @returns The chooser.
 */
export function createAutotuner(options: AutotunerOptions = {}): VariantChooser {
  const { table = {}, measure = true, onTiming } = options;
  return async (spec, candidates, backend) => {
    const [first] = candidates;
    const key = tuningKey(backend.capabilities.adapter, spec);
    const known = candidates.find(({ name }) => name === table[key]);
    if (known !== undefined) return known;
    if (!measure || candidates.length === 1 || !backend.capabilities.timestamps) return first;
    const { inputs, outputs } = kernelSignature(spec);
    if ([...inputs, ...outputs].reduce((sum, { bytes }) => sum + bytes, 0) > MOST_BYTES) return first;
    const seconds = await timeVariants(spec, candidates, backend);
    candidates.forEach(({ name }, i) => onTiming?.(key, name, seconds[i]));
    const best = candidates[seconds.indexOf(Math.min(...seconds))];
    table[key] = best.name;
    return best;
  };
}

/** Seconds of each variant on zeroed buffers of its own: indices among them must be in range. */
async function timeVariants(
  spec: KernelSpec,
  candidates: readonly KernelVariant[],
  backend: WebGpuBackend,
): Promise<number[]> {
  const signature = kernelSignature(spec);
  const allocate = ({ bytes }: { bytes: number }): DeviceBuffer => backend.allocate(bytes);
  const inputs = signature.inputs.map(allocate);
  const outputs = signature.outputs.map(allocate);
  using timer = new GpuTimer(backend);
  try {
    clear(backend, inputs);
    const seconds: number[] = [];
    await timer.warmUp(0.3);
    for (const variant of candidates) {
      const kernel = await backend.prepareVariant(spec, variant);
      const { median } = await timer.time([[{ kernel, inputs, outputs }]], { seconds: 0.002, rounds: 3 });
      seconds.push(median);
    }
    return seconds;
  } finally {
    for (const buffer of [...inputs, ...outputs]) buffer.dispose();
  }
}

function clear(backend: WebGpuBackend, buffers: readonly DeviceBuffer[]): void {
  const encoder = backend.device.createCommandEncoder();
  for (const buffer of buffers) {
    if (buffer instanceof WebGpuBuffer) encoder.clearBuffer(buffer.gpu);
  }
  backend.device.queue.submit([encoder.finish()]);
}
