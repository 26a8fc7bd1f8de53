// What any quantization method returns, on a backend: the products of its forward run there, what it does to its inputs
// on the host. This is how methods without kernels of their own are evaluated on whole models.
import type { Backend } from "../kernels/mod.ts";
import type { ForwardTerm, Matrix, QuantizedLinear } from "../quant/mod.ts";
import { DenseLinear } from "./dense_linear.ts";
import { addInPlace } from "./elementwise.ts";
import { applyLinear, type Linear, type PreparedInput } from "./linear.ts";
import { DeviceTensor, uploadBytes, uploadStored } from "./tensor.ts";

/** The input on the backend and, once a layer asked for it, on the host; layers that share an input share the copy. */
class TermsInput implements PreparedInput {
  #host: Promise<Matrix> | undefined;

  constructor(readonly tensor: DeviceTensor) {}

  get rows(): number {
    return this.tensor.rows;
  }

  host(): Promise<Matrix> {
    return this.#host ??= this.tensor.toMatrix();
  }

  [Symbol.dispose](): void {}
}

/** One product: what it multiplies, and with which weight. */
interface Product {
  readonly input: ForwardTerm["input"];
  readonly linear: DenseLinear;
}

/** Features of a layer, which a {@linkcode QuantizedLinear} does not tell. */
export interface TermsLinearShape {
  /** Input features. */
  readonly inputs: number;
  /** Output features. */
  readonly outputs: number;
}

/**
 * A {@linkcode QuantizedLinear} as a layer on a backend: its terms as dense float32 products, or, for one without
 * terms, its reference forward on the host.
 *
 * @example Usage
 * ```ts
 * import { createReferenceBackend } from "@quik/quant/kernels";
 * import { applyLinear, DeviceTensor, TermsLinear } from "@quik/quant/ops";
 * import { createMatrix, linearFromTerms } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const quantized = linearFromTerms({
 *   terms: [{ weight: createMatrix(1, 2, Float32Array.of(1, 2)) }],
 *   bitsPerWeight: 4,
 * });
 * using backend = createReferenceBackend();
 * using layer = new TermsLinear(backend, quantized, { inputs: 2, outputs: 1 });
 * using x = DeviceTensor.fromMatrix(backend, createMatrix(1, 2, Float32Array.of(3, 4)));
 * using y = await applyLinear(layer, x);
 * assertEquals((await y.toMatrix()).data, Float32Array.of(11));
 * ```
 */
export class TermsLinear implements Linear {
  /** Shared by all such layers: what each does to the input it does by itself. */
  readonly inputKey = "terms";
  /** Input features. */
  readonly inputs: number;
  /** Output features. */
  readonly outputs: number;
  /** What the method says. */
  readonly bitsPerWeight: number;
  readonly #backend: Backend;
  readonly #quantized: QuantizedLinear;
  readonly #products: readonly Product[];

  /**
   * Copies the terms to a backend.
   *
   * @throws {RangeError} If a weight or the bias does not fit the shape.
   */
  constructor(backend: Backend, quantized: QuantizedLinear, shape: TermsLinearShape) {
    const { terms = [], bias } = quantized;
    for (const term of terms) checkTerm(term, shape);
    if (bias && bias.length !== shape.outputs) {
      throw new RangeError(`Cannot add a bias of ${bias.length} values to ${shape.outputs} outputs`);
    }
    this.inputs = shape.inputs;
    this.outputs = shape.outputs;
    this.bitsPerWeight = quantized.bitsPerWeight;
    this.#backend = backend;
    this.#quantized = quantized;
    this.#products = terms.map(({ input, weight: { data, rows, cols } }, index) => {
      const weight = uploadStored(backend, { data, type: "float32", rows, columns: cols });
      return {
        input,
        linear: new DenseLinear(weight, bias && index === 0 ? uploadBytes(backend, bias) : undefined),
      };
    });
  }

  /** The input itself; it is copied to the host when a layer transforms it. */
  prepareInput(x: DeviceTensor): Promise<PreparedInput> {
    return Promise.resolve(new TermsInput(x));
  }

  /** The sum of the products. */
  async apply(input: PreparedInput): Promise<DeviceTensor> {
    if (!(input instanceof TermsInput)) {
      throw new TypeError("Cannot apply a layer of terms to an input that another layer prepared");
    }
    if (this.#products.length === 0) return await this.#applyOnHost(input);
    const [first, ...others] = this.#products;
    const sum = await multiply(first, input);
    try {
      for (const other of others) {
        using addend = await multiply(other, input);
        await addInPlace(sum, addend);
      }
      return sum;
    } catch (error) {
      sum.dispose();
      throw error;
    }
  }

  async #applyOnHost(input: TermsInput): Promise<DeviceTensor> {
    const output = this.#quantized.forward(await input.host());
    if (output.rows !== input.rows || output.cols !== this.outputs) {
      throw new RangeError(
        `Cannot use an output of shape [${output.rows}, ${output.cols}]: it must be [${input.rows}, ${this.outputs}]`,
      );
    }
    return DeviceTensor.fromMatrix(this.#backend, output);
  }

  /** Frees the weights. */
  dispose(): void {
    for (const { linear } of this.#products) linear.dispose();
  }

  /** Frees the weights. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

function checkTerm({ weight, input }: ForwardTerm, { inputs, outputs }: TermsLinearShape): void {
  // An input function may change the number of features, so only its result can be checked.
  if (weight.rows !== outputs || (!input && weight.cols !== inputs)) {
    throw new RangeError(
      `Cannot use a term of shape [${weight.rows}, ${weight.cols}] in a layer of shape [${outputs}, ${inputs}]`,
    );
  }
}

async function multiply(product: Product, input: TermsInput): Promise<DeviceTensor> {
  const { linear, input: transform } = product;
  if (!transform) return await applyLinear(linear, input.tensor);
  using x = DeviceTensor.fromMatrix(input.tensor.backend, transform(await input.host()));
  return await applyLinear(linear, x);
}
