// A model put together of another's architecture and changed weights: how equivalent models are made.
import type { Backend } from "../kernels/mod.ts";
import {
  type DenseLinear,
  DeviceTensor,
  type NormWeights,
  type StoredMatrix,
  uploadStored,
} from "../ops/mod.ts";
import {
  type BlockWeights,
  createMatrix,
  type DecoderWeights,
  type LinearParameters,
  type Matrix,
  type NormParameters,
} from "../quant/mod.ts";
import { denseLinear } from "./_dense_linear.ts";
import { type BlockParts, DecoderBlock } from "./block.ts";
import { LinearSlot } from "./linear_slot.ts";
import { Model } from "./model.ts";
import type { BlockTransforms } from "./online_transform.ts";

/** Options of {@linkcode rewriteModel}. */
export interface RewriteModelOptions {
  /** What each block computes besides, in order. Default: nothing. */
  readonly transforms?: readonly BlockTransforms[];
  /** What those need, to be freed with the model. */
  readonly owned?: readonly Disposable[];
}

/**
 * A model like another, with other weights. Norms keep their epsilon and become what their parameters say; layers keep
 * their names. It shares nothing with the first model but the backend and the tokenizer.
 *
 * @param model The model whose architecture it takes. Not changed.
 * @param weights The weights, of the same shapes, such as {@linkcode decoderWeights} reads them.
 * @param options What its blocks compute besides.
 * @returns The new model, in float32; dispose of it to free its memory.
 */
export function rewriteModel(
  model: Model,
  weights: DecoderWeights,
  options: RewriteModelOptions = {},
): Model {
  const { backend, config, decoder: { blocks, finalNorm, projectIn, projectOut } } = model;
  const { transforms, owned = [] } = options;
  const parts = new Parts(backend);
  const [tokens, positions] = weights.embeddings.map((table) => parts.table(table));
  return new Model(backend, {
    config: { ...config, tieWordEmbeddings: false },
    decoder: {
      tokens,
      ...(positions ? { positions } : {}),
      projectIn: projectIn && parts.slot(weights.projectIn!, projectIn),
      projectOut: projectOut && parts.slot(weights.projectOut!, projectOut),
      blocks: weights.blocks.map((block, index) =>
        new DecoderBlock(index, parts.block(block, blocks[index].parts, transforms?.[index]))
      ),
      ...(finalNorm && weights.finalNorm ? { finalNorm: parts.norm(weights.finalNorm, finalNorm) } : {}),
      head: parts.linear(weights.head),
    },
    loadTokenizer: () => model.tokenizer(),
    dispose: () => [...parts.owned, ...owned].forEach((value) => value[Symbol.dispose]()),
  });
}

/** Copies parts of a model to a backend, and remembers what it copied. */
class Parts {
  readonly owned: Disposable[] = [];
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  keep<Owned extends Disposable>(value: Owned): Owned {
    this.owned.push(value);
    return value;
  }

  table({ data, rows, cols }: Matrix): StoredMatrix {
    return this.keep(uploadStored(this.#backend, { data, type: "float32", rows, columns: cols }));
  }

  norm({ weight, bias }: NormParameters, { epsilon }: NormWeights): NormWeights {
    return { weight: this.#vector(weight), ...(bias ? { bias: this.#vector(bias) } : {}), epsilon };
  }

  linear(weights: LinearParameters): DenseLinear {
    return this.keep(denseLinear(this.#backend, weights));
  }

  block(weights: BlockWeights, like: BlockParts, transforms: BlockTransforms = {}): BlockParts {
    const { attention, feedForward } = like;
    const [query, key, value] = attention.inputs, [first, second] = feedForward.inputs;
    return {
      arrangement: like.arrangement,
      attentionNorm: this.norm(weights.attentionNorm, like.attentionNorm),
      attention: {
        ...attention,
        inputs: [
          this.slot(weights.query, query),
          this.slot(weights.key, key),
          this.slot(weights.value, value),
        ],
        queryNorm: attention.queryNorm && this.norm(weights.queryNorm!, attention.queryNorm),
        keyNorm: attention.keyNorm && this.norm(weights.keyNorm!, attention.keyNorm),
        output: this.slot(weights.output, attention.output),
        queryKeyTransform: transforms.queryKey,
        attendedTransform: transforms.attended,
      },
      feedForwardNorm: this.norm(weights.feedForwardNorm, like.feedForwardNorm),
      feedForward: {
        ...feedForward,
        inputs: second
          ? [this.slot(weights.up[0], first), this.slot(weights.up[1], second)]
          : [this.slot(weights.up[0], first)],
        output: this.slot(weights.down, feedForward.output),
        middleTransform: transforms.middle,
      },
    };
  }

  slot(weights: LinearParameters, { name, sources }: LinearSlot): LinearSlot {
    return this.keep(new LinearSlot(name, denseLinear(this.#backend, weights), sources));
  }

  #vector(values: Float32Array<ArrayBuffer>): DeviceTensor {
    return this.keep(DeviceTensor.fromMatrix(this.#backend, createMatrix(1, values.length, values)));
  }
}
