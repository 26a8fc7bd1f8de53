// The reference backend: every op as plain loops over host memory. It defines what the others compute, serves as
// their oracle, and runs anywhere; it is not meant to be fast.
import type { Backend, BackendLimits, DeviceBuffer, Kernel, ReadOptions } from "../backend.ts";
import { checkBuffers, specKey } from "../signature.ts";
import type { KernelSpec, OpName } from "../specs.ts";
import type { ReferenceOp } from "./_views.ts";
import { affineLinear, outlierMatmul } from "./fbgemm.ts";
import { attention } from "./attention.ts";
import { tableLinear } from "./table_linear.ts";
import { lowRankAdd, sparseAdd } from "./branches.ts";
import { codebookLinear } from "./codebook_linear.ts";
import { denseLinear } from "./dense_linear.ts";
import { activation, add, gatedActivation } from "./elementwise.ts";
import { gptqSweep, inverseFactor } from "./gptq.ts";
import { dequantizeGroups, groupedLinear, quantizeGroups } from "./groups.ts";
import { hadamardTransform } from "./hadamard.ts";
import { integerMatmul, quikLinear } from "./integer_matmul.ts";
import { layerNorm, rmsNorm } from "./norms.ts";
import { quantizeActivations } from "./quantize_activations.ts";
import { quikLayer } from "./quik_layer.ts";
import { rope } from "./rope.ts";
import { gatherRows, scatterRows } from "./rows.ts";
import { argmax, columnAbsmax, gram, tokenNll } from "./statistics.ts";

type OpTable = { readonly [Op in OpName]: ReferenceOp<Extract<KernelSpec, { op: Op }>> };

const ops: OpTable = {
  dense_linear: denseLinear,
  quantize_activations: quantizeActivations,
  integer_matmul: integerMatmul,
  quik_linear: quikLinear,
  quik_layer: quikLayer,
  gather_rows: gatherRows,
  scatter_rows: scatterRows,
  rms_norm: rmsNorm,
  layer_norm: layerNorm,
  rope,
  attention,
  activation,
  gated_activation: gatedActivation,
  add,
  token_nll: tokenNll,
  argmax,
  gram,
  column_absmax: columnAbsmax,
  codebook_linear: codebookLinear,
  hadamard: hadamardTransform,
  quantize_groups: quantizeGroups,
  dequantize_groups: dequantizeGroups,
  grouped_linear: groupedLinear,
  table_linear: tableLinear,
  sparse_add: sparseAdd,
  low_rank_add: lowRankAdd,
  inverse_factor: inverseFactor,
  gptq_sweep: gptqSweep,
  affine_linear: affineLinear,
  outlier_matmul: outlierMatmul,
};

/** Every op there is. */
export const REFERENCE_OPS: readonly OpName[] = Object.keys(ops) as OpName[];

/** Largest `ArrayBuffer` that every engine grants. */
const MAX_BUFFER_BYTES = 2 ** 31 - 16;

class HostBuffer implements DeviceBuffer {
  readonly byteLength: number;
  bytes: ArrayBuffer;

  constructor(byteLength: number) {
    this.byteLength = byteLength;
    this.bytes = new ArrayBuffer(Math.ceil(byteLength / 16) * 16);
  }

  dispose(): void {
    this.bytes = new ArrayBuffer(0);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The host memory behind a buffer of this backend. */
function bytesOf(buffer: DeviceBuffer): ArrayBuffer {
  if (!(buffer instanceof HostBuffer)) {
    throw new TypeError("Cannot use a buffer of another backend on the reference backend");
  }
  if (buffer.bytes.byteLength < buffer.byteLength) throw new TypeError("Cannot use a disposed buffer");
  return buffer.bytes;
}

class ReferenceBackend implements Backend {
  readonly name = "reference";
  readonly description = "plain TypeScript, one thread";
  readonly features: ReadonlySet<string> = new Set();
  readonly limits: BackendLimits = { maxBufferBytes: MAX_BUFFER_BYTES };
  readonly #kernels = new Map<string, Kernel>();

  allocate(byteLength: number): DeviceBuffer {
    if (!Number.isInteger(byteLength) || byteLength < 0 || byteLength > MAX_BUFFER_BYTES) {
      throw new RangeError(`Cannot allocate ${byteLength} bytes: the size must be 0 to ${MAX_BUFFER_BYTES}`);
    }
    return new HostBuffer(byteLength);
  }

  write(buffer: DeviceBuffer, data: ArrayBufferView<ArrayBuffer>, byteOffset = 0): void {
    if (byteOffset % 4 !== 0 || byteOffset < 0 || byteOffset + data.byteLength > buffer.byteLength) {
      throw new RangeError(
        `Cannot write ${data.byteLength} bytes at ${byteOffset} into a buffer of ${buffer.byteLength}`,
      );
    }
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    new Uint8Array(bytesOf(buffer)).set(bytes, byteOffset);
  }

  read(buffer: DeviceBuffer, options: ReadOptions = {}): Promise<ArrayBuffer> {
    const { byteOffset = 0, byteLength = buffer.byteLength - byteOffset } = options;
    if (
      byteOffset % 4 !== 0 || byteOffset < 0 || byteLength < 0 || byteOffset + byteLength > buffer.byteLength
    ) {
      return Promise.reject(
        new RangeError(
          `Cannot read ${byteLength} bytes at ${byteOffset} of a buffer of ${buffer.byteLength}`,
        ),
      );
    }
    return Promise.resolve(bytesOf(buffer).slice(byteOffset, byteOffset + byteLength));
  }

  supports(spec: KernelSpec): boolean {
    return spec.op in ops;
  }

  prepare(spec: KernelSpec): Promise<Kernel> {
    const key = specKey(spec);
    let kernel = this.#kernels.get(key);
    if (!kernel) this.#kernels.set(key, kernel = { spec });
    return Promise.resolve(kernel);
  }

  dispatch(kernel: Kernel, inputs: readonly DeviceBuffer[], outputs: readonly DeviceBuffer[]): void {
    checkBuffers(kernel.spec, inputs, outputs);
    const run = ops[kernel.spec.op] as ReferenceOp<KernelSpec>;
    run(kernel.spec, inputs.map(bytesOf), outputs.map(bytesOf));
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  dispose(): void {
    this.#kernels.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Makes the backend that defines every op: plain TypeScript on the host, slow and exact.
 *
 * @returns A backend that supports every spec.
 *
 * @example Usage
 * ```ts
 * import { createReferenceBackend } from "@quik/quant/kernels";
 * import { assertEquals } from "@std/assert";
 *
 * using backend = createReferenceBackend();
 * using a = backend.allocate(8);
 * using b = backend.allocate(8);
 * backend.write(a, Float32Array.of(1, 2));
 * backend.write(b, Float32Array.of(10, 20));
 * const add = await backend.prepare({ op: "add", count: 2 });
 * backend.dispatch(add, [a, b], [a]);
 * assertEquals(new Float32Array(await backend.read(a)), Float32Array.of(11, 22));
 * ```
 */
export function createReferenceBackend(): Backend {
  return new ReferenceBackend();
}
