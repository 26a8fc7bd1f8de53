// GPTQ on a backend, in float32: what `gptq` in the quant room does on the host in float64, for layers that are too
// large for it. Scales are fitted beforehand, so every group is static.
import { codeThresholds, type NumberFormat } from "../formats/mod.ts";
import { type Backend, type DeviceBuffer, packedRowBytes } from "../kernels/mod.ts";
import { createMatrix, type Matrix } from "../quant/mod.ts";
import { runKernel, uploadBytes } from "./tensor.ts";

/** Options of {@linkcode deviceGptq}. */
export interface DeviceGptqOptions {
  /** `x^T x` of the layer's inputs times any factor, `[inputs, inputs]`. */
  readonly hessian: Matrix;
  /** The levels that a weight may take, of at most 8 bits. */
  readonly format: NumberFormat;
  /** Factors from levels to weights, `[outputs, groups]`. */
  readonly scales: Float32Array<ArrayBuffer>;
  /** Zero points in units of levels, `[outputs, groups]`. Default 0. */
  readonly zeros?: Float32Array<ArrayBuffer>;
  /** Columns that share a scale, counted in natural order. Default: all. */
  readonly groupSize?: number;
  /** Order of rounding, a permutation of all columns. Default natural. */
  readonly order?: Uint32Array;
  /** Columns that are never rounded but absorb errors; they move to the end of the order. Default none. */
  readonly outliers?: Uint32Array;
  /** Damping, as a multiple of the mean of the Hessian's diagonal. Default 0.01. */
  readonly percDamp?: number;
}

/** What {@linkcode deviceGptq} finds, in natural order of columns. */
export interface DeviceGptqResult {
  /** Codes of the format, `[outputs, inputs]`; 0 in outlier columns. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** Dequantized weights, `[outputs, inputs]`; outlier columns hold their compensated values. */
  readonly weight: Matrix;
  /** Half the squared output error per output, with the damped Hessian, `[outputs]`. */
  readonly loss: Float32Array<ArrayBuffer>;
  /** What was added to the Hessian's diagonal. */
  readonly damping: number;
}

/** Tries before giving up, the damping ten times larger each time, as on the host. */
const MAX_ATTEMPTS = 10;

/**
 * Rounds the weights of a linear layer on a backend so that its output error stays small.
 *
 * @param backend Where it runs; it must support `inverse_factor` and `gptq_sweep`.
 * @param weight `[outputs, inputs]`. Not changed.
 * @param options Hessian, format, scales, order.
 * @returns Codes, dequantized weights and loss.
 * @throws {RangeError} If shapes do not fit, or the Hessian is not positive definite at any damping.
 * @throws {TypeError} If the backend lacks the ops.
 *
 * @example Usage
 * ```ts
 * import { int4 } from "@quik/quant/formats";
 * import { createReferenceBackend } from "@quik/quant/kernels";
 * import { deviceGptq } from "@quik/quant/ops";
 * import { createMatrix } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * using backend = createReferenceBackend();
 * const weight = createMatrix(1, 2, Float32Array.of(0.7, 0.26));
 * const hessian = createMatrix(2, 2, Float32Array.of(2, 0, 0, 2));
 * const { codes } = await deviceGptq(backend, weight, { hessian, format: int4, scales: Float32Array.of(0.1) });
 * assertEquals(codes, Uint8Array.of(7, 3)); // independent inputs: plain rounding
 * ```
 */
export async function deviceGptq(
  backend: Backend,
  weight: Matrix,
  options: DeviceGptqOptions,
): Promise<DeviceGptqResult> {
  const { rows, cols } = weight;
  const { format, scales, groupSize = cols } = options;
  const groups = Math.max(1, Math.ceil(cols / groupSize));
  checkShapes(weight, groups, options);
  const { order, base } = roundingOrder(cols, options);
  using memory = new DisposableStack();
  const upload = (data: ArrayBufferView<ArrayBuffer>): DeviceBuffer => memory.use(uploadBytes(backend, data));
  const allocate = (bytes: number): DeviceBuffer => memory.use(backend.allocate(bytes));
  const factor = allocate(cols * cols * 4);
  const hessian = upload(options.hessian.data);
  const damping = await invertHessian(backend, { hessian, order: upload(order), factor }, options);

  const { thresholds, codes: codeTable } = codeThresholds(format);
  const levels = Float32Array.from({ length: 2 ** format.bits }, (_, code) => format.decode(code));
  const inputs = [
    factor,
    upload(order.slice(0, base).map((column) => Math.floor(column / groupSize))),
    upload(scales),
    upload(options.zeros ?? new Float32Array(scales.length)),
    upload(thresholds),
    upload(codeTable),
    upload(levels),
  ];
  const stride = packedRowBytes(base, 8);
  const outputs = [
    upload(permuteColumns(weight, order, options.hessian)),
    allocate(rows * stride),
    allocate(rows * 4),
  ];
  const bits = format.bits as 2 | 3 | 4 | 8;
  await runKernel(backend, { op: "gptq_sweep", rows, columns: cols, base, groups, bits }, inputs, outputs);
  const [swept, packed, loss] = await Promise.all(outputs.map((buffer) => backend.read(buffer)));
  return {
    codes: restoreCodes(new Uint8Array(packed), { rows, cols, stride, order, base }),
    weight: restoreColumns(new Float32Array(swept), rows, order),
    loss: new Float32Array(loss),
    damping,
  };
}

function checkShapes({ rows, cols }: Matrix, groups: number, options: DeviceGptqOptions): void {
  const { hessian, format, scales, zeros } = options;
  if (hessian.rows !== cols || hessian.cols !== cols) {
    throw new RangeError(
      `Cannot run GPTQ on [${rows}, ${cols}] weights with a [${hessian.rows}, ${hessian.cols}] Hessian: ` +
        `it must be [${cols}, ${cols}]`,
    );
  }
  if (![2, 3, 4, 8].includes(format.bits)) {
    throw new RangeError(
      `Cannot run GPTQ with ${format.name} on a backend: codes must have 2, 3, 4 or 8 bits`,
    );
  }
  if (scales.length !== rows * groups || (zeros !== undefined && zeros.length !== scales.length)) {
    throw new RangeError(
      `Cannot run GPTQ with ${scales.length} scales: ${rows} outputs of ${groups} groups need ${
        rows * groups
      }`,
    );
  }
}

/** The columns in the order of rounding, outliers last, and how many are rounded. */
function roundingOrder(
  columns: number,
  { order, outliers = new Uint32Array(0) }: DeviceGptqOptions,
): { order: Uint32Array<ArrayBuffer>; base: number } {
  const all = order ?? Uint32Array.from({ length: columns }, (_, column) => column);
  if (all.length !== columns || new Set(all).size !== columns || all.some((column) => column >= columns)) {
    throw new RangeError(`Cannot round in this order: it must be a permutation of ${columns} columns`);
  }
  const kept = new Set(outliers);
  const rounded = [...all].filter((column) => !kept.has(column));
  const last = [...all].filter((column) => kept.has(column));
  return { order: Uint32Array.from([...rounded, ...last]), base: rounded.length };
}

/** Fills `factor`, with as much damping as it takes. */
async function invertHessian(
  backend: Backend,
  buffers: { readonly hessian: DeviceBuffer; readonly order: DeviceBuffer; readonly factor: DeviceBuffer },
  { hessian, percDamp = 0.01 }: DeviceGptqOptions,
): Promise<number> {
  const size = hessian.rows;
  let mean = 0;
  for (let i = 0; i < size; i++) mean += (hessian.data[i * size + i] || 1) / size;
  using pivots = backend.allocate(size * 4);
  let damping = percDamp * mean;
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    using added = uploadBytes(backend, Float32Array.of(damping));
    const inputs = [buffers.hessian, buffers.order, added];
    await runKernel(backend, { op: "inverse_factor", size }, inputs, [buffers.factor, pivots]);
    const found = new Float32Array(await backend.read(pivots));
    if (found.every((pivot) => pivot > 0 && pivot < Infinity)) return damping;
    damping = Math.max(damping * 10, mean * 1e-6);
  }
  throw new RangeError(
    `Cannot factor the [${size}, ${size}] Hessian: it is not positive definite at any damping`,
  );
}

/** The weights in the order of rounding; columns that were never active are 0. */
function permuteColumns(
  { data, rows, cols }: Matrix,
  order: Uint32Array,
  hessian: Matrix,
): Float32Array<ArrayBuffer> {
  const result = new Float32Array(rows * cols);
  for (let k = 0; k < cols; k++) {
    if (hessian.data[order[k] * cols + order[k]] === 0) continue;
    for (let row = 0; row < rows; row++) result[row * cols + k] = data[row * cols + order[k]];
  }
  return result;
}

function restoreColumns(data: Float32Array, rows: number, order: Uint32Array): Matrix {
  const cols = order.length;
  const result = createMatrix(rows, cols);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < cols; k++) result.data[row * cols + order[k]] = data[row * cols + k];
  }
  return result;
}

function restoreCodes(
  packed: Uint8Array,
  shape: { rows: number; cols: number; stride: number; order: Uint32Array; base: number },
): Uint8Array<ArrayBuffer> {
  const { rows, cols, stride, order, base } = shape;
  const codes = new Uint8Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < base; k++) codes[row * cols + order[k]] = packed[row * stride + k];
  }
  return codes;
}
