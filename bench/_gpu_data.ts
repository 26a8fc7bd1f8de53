// Random inputs for any op, by the roles of its buffers, with weights in as many copies as do not fit a cache together.
import { type DeviceBuffer, kernelSignature, type KernelSpec, type WebGpuBackend } from "../kernels/mod.ts";

/** Inputs of one op: copy after copy, sharing what is no weight. */
export type Copies = readonly (readonly DeviceBuffer[])[];

/** Whether a buffer belongs to the weight. */
function isWeight(name: string, spec: KernelSpec): boolean {
  return /weight|scale/.test(name) || (spec.op === "codebook_linear" && name === "codes");
}

const CHUNK = 2 ** 20;

/**
 * Fills the inputs of an op.
 *
 * @param backend Where.
 * @param spec The op.
 * @param coldBytes Weights are copied until together they hold so many bytes.
 * @param given Buffers to use instead, by index, such as outputs of an earlier op.
 */
export function randomInputs(
  backend: WebGpuBackend,
  spec: KernelSpec,
  coldBytes: number,
  given: Readonly<Record<number, DeviceBuffer>> = {},
): Copies {
  const { inputs } = kernelSignature(spec);
  const weightBytes = inputs.filter(({ name }) => isWeight(name, spec)).reduce(
    (sum, { bytes }) => sum + bytes,
    0,
  );
  const copies = Math.max(1, Math.min(24, Math.ceil(coldBytes / Math.max(1, weightBytes))));
  const make = ({ name, bytes }: { name: string; bytes: number }): DeviceBuffer =>
    filled(backend, bytes, generator(name, spec));
  const shared = inputs.map((role, i) => given[i] ?? (isWeight(role.name, spec) ? undefined : make(role)));
  return Array.from({ length: copies }, () => inputs.map((role, i) => shared[i] ?? make(role)));
}

function filled(backend: WebGpuBackend, bytes: number, next: (index: number) => number): DeviceBuffer {
  const buffer = backend.allocate(Math.max(16, bytes));
  const words = Math.ceil(bytes / 4);
  const chunk = new Uint32Array(Math.min(words, CHUNK));
  for (let i = 0; i < chunk.length; i++) chunk[i] = next(i);
  for (let at = 0; at < words; at += chunk.length) {
    backend.write(buffer, chunk.subarray(0, Math.min(chunk.length, words - at)), at * 4);
  }
  return buffer;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

function floatBits(value: number): number {
  float[0] = value;
  return bits[0];
}

const word = (): number => Math.random() * 2 ** 32;
/** Two float16 values of either sign between 1/16 and 1. */
const halves = (): number => (word() & 0x8fff8fff) + 0x2c002c00;

function generator(name: string, spec: KernelSpec): (index: number) => number {
  const outliers = "outliers" in spec ? spec.outliers : 0;
  if (name === "base columns") return (i) => outliers + i;
  if (name === "outlier columns") return (i) => i;
  if (name === "table") return (i) => floatBits(i - 8);
  if (/codes/.test(name)) return word;
  if (/outlier/.test(name)) return halves;
  if (name === "x" && "inputType" in spec && spec.inputType === "float16") return halves;
  if (name === "weight") return spec.op === "dense_linear" && spec.weightType !== "float32" ? halves : normal;
  if (name === "scales") return halves;
  return normal;
}

function normal(): number {
  const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
  return floatBits(radius * Math.cos(2 * Math.PI * Math.random()));
}
