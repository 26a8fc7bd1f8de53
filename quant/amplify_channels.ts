// Outliers made real in a model that computes what it did: some norm gains made large, the weights behind them small.
import { foldGain } from "./fold_norm.ts";
import type { Matrix } from "./matrix.ts";

/**
 * The tensors of a checkpoint by their Hugging Face names. Vectors (norm gains and biases) are matrices of one row.
 */
export type NamedWeights = ReadonlyMap<string, Matrix>;

/** Which layers read the residual stream through which norm. */
const READERS: Readonly<Record<string, readonly string[]>> = {
  "input_layernorm": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
  "post_attention_layernorm": ["mlp.gate_proj", "mlp.up_proj"],
};

/** Options of {@linkcode amplifyChannels}. */
export interface AmplifyChannelsOptions {
  /** Channels of the residual stream. */
  readonly channels: readonly number[];
  /** Factor of the norm gains in these channels. Default 30. */
  readonly factor?: number;
}

/**
 * Makes outliers without changing the model: multiplies some gains of every norm and divides the columns of the layers
 * behind it. A small model then shows what activation outliers do to a large one.
 *
 * @param weights The checkpoint of a LLaMA, Mistral or Qwen model. Not changed.
 * @param options Channels and factor.
 * @returns The same model, whose layer inputs have large channels.
 * @throws {RangeError} If a tensor is missing.
 */
export function amplifyChannels(weights: NamedWeights, options: AmplifyChannelsOptions): Map<string, Matrix> {
  const { channels, factor = 30 } = options;
  const result = new Map(weights);
  for (const prefix of layerPrefixes(weights)) {
    for (const [norm, readers] of Object.entries(READERS)) {
      const gain = tensor(weights, `${prefix}${norm}.weight`);
      const factors = new Float32Array(gain.cols).fill(1);
      for (const channel of channels) factors[channel] = factor;
      replace(result, `${prefix}${norm}.weight`, (matrix) => foldGain(matrix, factors));
      const inverse = factors.map((value) => 1 / value);
      for (const reader of readers) {
        replace(result, `${prefix}${reader}.weight`, (weight) => foldGain(weight, inverse));
      }
    }
  }
  return result;
}

/** `model.layers.0.`, `model.layers.1.`, and so on as far as the checkpoint goes. */
function layerPrefixes(weights: NamedWeights): string[] {
  const prefixes: string[] = [];
  while (weights.has(`model.layers.${prefixes.length}.input_layernorm.weight`)) {
    prefixes.push(`model.layers.${prefixes.length}.`);
  }
  return prefixes;
}

function tensor(weights: NamedWeights, name: string): Matrix {
  const matrix = weights.get(name);
  if (matrix === undefined) throw new RangeError(`Cannot amplify channels: the model has no tensor ${name}`);
  return matrix;
}

function replace(weights: Map<string, Matrix>, name: string, change: (matrix: Matrix) => Matrix): void {
  weights.set(name, change(tensor(weights, name)));
}
