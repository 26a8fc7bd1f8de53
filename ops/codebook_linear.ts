// A weight-only quantized layer on a backend: any number format of at most 8 bits, through its table of levels.
import {
  encodeArray,
  float16,
  float8E4M3,
  float8E8M0,
  levelsOf,
  type NumberFormat,
  pack,
} from "../formats/mod.ts";
import {
  type Backend,
  type CodebookLinearSpec,
  type DeviceBuffer,
  packedRowBytes,
  type ScaleType,
} from "../kernels/mod.ts";
import type { BlockGrid, Quantized } from "../quant/mod.ts";
import { DenseInput } from "./_dense_input.ts";
import type { Linear, PreparedInput } from "./linear.ts";
import { DeviceTensor, runKernel, uploadBytes } from "./tensor.ts";

/** Widths that the op packs. Others are stored in the next one. */
const WIDTHS = [2, 3, 4, 8] as const;

/** Scale formats that a backend reads as they are stored; any other is widened to float32. */
const SCALE_TYPES: ReadonlyMap<NumberFormat | undefined, ScaleType> = new Map<NumberFormat, ScaleType>([
  [float16, "float16"],
  [float8E4M3, "float8E4M3"],
  [float8E8M0, "float8E8M0"],
]);

/**
 * A linear layer with quantized weights and float activations: W4A16 and its relatives, for every format. The product
 * decodes weights through the format's table, so a new format needs no kernel. It owns its buffers.
 *
 * @example A format of one's own
 * ```ts
 * import { defineCodebook } from "@quik/quant/formats";
 * import { createReferenceBackend } from "@quik/quant/kernels";
 * import { applyLinear, CodebookLinear, DeviceTensor } from "@quik/quant/ops";
 * import { chooseQparams, createMatrix, perGroup, quantize } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const ternary = defineCodebook({ name: "ternary", levels: [-1, 0, 1] });
 * const weight = createMatrix(1, 4, Float32Array.of(2, -2, 0.5, -2));
 * const quantized = quantize(weight, chooseQparams(weight, { format: ternary, granularity: perGroup(4) }));
 * using backend = createReferenceBackend();
 * using layer = new CodebookLinear(backend, quantized);
 * using x = DeviceTensor.fromMatrix(backend, createMatrix(1, 4, Float32Array.of(1, 2, 3, 4)));
 * using y = await applyLinear(layer, x);
 * assertEquals((await y.toMatrix()).data, Float32Array.of(-10));
 * ```
 */
export class CodebookLinear implements Linear {
  /** Takes the same input as a dense layer. */
  readonly inputKey = "dense";
  /** Input features. */
  readonly inputs: number;
  /** Output features. */
  readonly outputs: number;
  /** Codes, scales and zero points over the number of weights. */
  readonly bitsPerWeight: number;
  /** The quantized weight on the host. */
  readonly weight: Quantized;
  readonly #backend: Backend;
  readonly #shape: Omit<CodebookLinearSpec, "rows">;
  readonly #buffers: readonly DeviceBuffer[];

  /**
   * Copies a quantized weight, and perhaps a bias, to a backend.
   *
   * @param backend Where to.
   * @param weight `[outputs, inputs]`, quantized by any granularity, without offsets.
   * @param bias `[outputs]`.
   * @throws {TypeError} If the format has more than 8 bits, or the parameters have offsets.
   */
  constructor(backend: Backend, weight: Quantized, bias?: Float32Array<ArrayBuffer>) {
    const { codes, qparams: { format, grid, scale, zeroPoint, offset, scaleFormat } } = weight;
    const bits = WIDTHS.find((width) => width >= format.bits);
    if (bits === undefined || !(codes instanceof Uint8Array)) {
      throw new TypeError(`Cannot run a layer of ${format.name} codes: the format must have at most 8 bits`);
    }
    if (offset) throw new TypeError(`Cannot run a layer with offsets: use zero points`);
    const { rows: columns, cols: inner } = grid;
    const scaleType = SCALE_TYPES.get(scaleFormat) ?? "float32";
    const flip = evenOrder(format, bits);
    const levels = levelsOf(format);
    const table = new Float32Array(2 ** bits);
    for (let code = 0; code < levels.length; code++) table[code ^ (flip ?? 0)] = levels[code];
    const stored = flip ? codes.map((code) => code ^ flip) : codes;
    const scales = expandRows(scale, grid);
    this.weight = weight;
    this.inputs = inner;
    this.outputs = columns;
    this.bitsPerWeight = storedBits(weight) / (columns * inner);
    this.#backend = backend;
    this.#shape = {
      op: "codebook_linear",
      columns,
      inner,
      bits,
      groupSize: grid.blockCols,
      scaleType,
      zeroPoint: zeroPoint !== undefined,
      bias: bias !== undefined,
      evenLevels: flip !== undefined,
    };
    this.#buffers = [
      pack(stored, bits, { shape: [columns, inner], rowBytes: packedRowBytes(inner, bits) }),
      table,
      scaleType === "float32" ? scales : encodeArray(scaleFormat!, scales),
      ...(zeroPoint ? [expandRows(zeroPoint, grid)] : []),
      ...(bias ? [bias] : []),
    ].map((data) => uploadBytes(backend, data));
  }

  /** The input itself. */
  prepareInput(x: DeviceTensor): Promise<PreparedInput> {
    return Promise.resolve(new DenseInput(x));
  }

  /** The product. */
  async apply(input: PreparedInput): Promise<DeviceTensor> {
    if (!(input instanceof DenseInput)) {
      throw new TypeError("Cannot apply a weight-only layer to a quantized input");
    }
    const { rows } = input;
    const y = new DeviceTensor(this.#backend, rows, this.outputs);
    await runKernel(this.#backend, { ...this.#shape, rows }, [input.tensor.buffer, ...this.#buffers], [
      y.buffer,
    ]);
    return y;
  }

  /** Frees the buffers. */
  dispose(): void {
    for (const buffer of this.#buffers) buffer.dispose();
  }

  /** Frees the buffers. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * What to flip in the codes of a format so that its levels are evenly spaced: nothing for unsigned integers, the sign bit
 * for signed ones. Undefined if no order of this kind makes them so. Backends then compute levels instead of looking up.
 */
function evenOrder(format: NumberFormat, bits: number): number | undefined {
  const levels = levelsOf(format);
  if (format.bits !== bits || levels.length !== 2 ** bits) return undefined;
  return [0, 2 ** (bits - 1)].find((flip) => {
    const at = (code: number): number => levels[code ^ flip];
    const spacing = at(1) - at(0);
    return levels.every((_, code) => at(code) === at(0) + code * spacing);
  });
}

/** Parameters `[gridRows, gridCols]` repeated for every row of the matrix: `[rows, gridCols]`. */
function expandRows(values: Float32Array<ArrayBuffer>, grid: BlockGrid): Float32Array<ArrayBuffer> {
  const { rows, blockRows, gridCols } = grid;
  if (blockRows === 1) return values;
  const expanded = new Float32Array(rows * gridCols);
  for (let row = 0; row < rows; row++) {
    const first = Math.floor(row / blockRows) * gridCols;
    expanded.set(values.subarray(first, first + gridCols), row * gridCols);
  }
  return expanded;
}

/** Codes at the width of their format, scales at that of theirs, zero points at the codes' width. */
function storedBits(weight: Quantized): number {
  const { codes, qparams: { format, scale, scaleFormat, zeroPoint } } = weight;
  return codes.length * format.bits + scale.length * (scaleFormat?.bits ?? 32) +
    (zeroPoint ? zeroPoint.length * format.bits : 0);
}
