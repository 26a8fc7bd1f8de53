// QuaRot's and SpinQuant's rewriting of a whole LLaMA-type checkpoint (arXiv 2404.00456, 2405.16406): pure functions from
// named weights to named weights that leave the model's output as it was.
import { hadamard } from "./hadamard.ts";
import { foldGain } from "./fold_norm.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { blockRotation, rotateOutputs, type Rotation } from "./rotation.ts";

/**
 * The tensors of a checkpoint by their Hugging Face names. Vectors (norm gains and biases) are matrices of one row.
 */
export type NamedWeights = ReadonlyMap<string, Matrix>;

/** Which layers read the residual stream through which norm. */
const READERS: Readonly<Record<string, readonly string[]>> = {
  "input_layernorm": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
  "post_attention_layernorm": ["mlp.gate_proj", "mlp.up_proj"],
};
/** Which layers write to the residual stream. */
const WRITERS: readonly string[] = ["self_attn.o_proj", "mlp.down_proj"];

const EMBEDDING = "model.embed_tokens.weight";
const FINAL_NORM = "model.norm.weight";
const HEAD = "lm_head.weight";

/**
 * Folds the gain of every RMSNorm into the layers behind it. Tied embeddings are untied: the result always has an
 * `lm_head.weight`, and the model's configuration must say `tie_word_embeddings: false`.
 *
 * @param weights The checkpoint of a LLaMA, Mistral or Qwen model. Not changed.
 * @returns The same model with all gains 1.
 * @throws {RangeError} If a tensor is missing.
 */
export function foldModelNorms(weights: NamedWeights): Map<string, Matrix> {
  const result = new Map(weights);
  for (const prefix of layerPrefixes(weights)) {
    for (const [norm, readers] of Object.entries(READERS)) {
      const gain = tensor(weights, `${prefix}${norm}.weight`);
      for (const reader of readers) {
        replace(result, `${prefix}${reader}.weight`, (weight) => foldGain(weight, gain.data));
      }
      result.set(`${prefix}${norm}.weight`, ones(gain.cols));
    }
  }
  const gain = tensor(weights, FINAL_NORM);
  const head = weights.get(HEAD) ?? tensor(weights, EMBEDDING);
  result.set(HEAD, foldGain(head, gain.data));
  return result.set(FINAL_NORM, ones(gain.cols));
}

/**
 * Rotates the residual stream: embeddings and every layer that reads it by `R`, every layer that writes it by `R^T`.
 *
 * @param weights A checkpoint whose norm gains are 1, see {@linkcode foldModelNorms}. Not changed.
 * @param rotation A rotation of the hidden size.
 * @returns The same model in rotated coordinates.
 * @throws {RangeError} If a tensor is missing or a gain is not 1.
 */
export function rotateResidual(weights: NamedWeights, rotation: Rotation): Map<string, Matrix> {
  const result = new Map(weights);
  for (const name of [EMBEDDING, HEAD]) replace(result, name, (weight) => rotation.apply(weight));
  checkUnitGain(weights, FINAL_NORM);
  for (const prefix of layerPrefixes(weights)) {
    for (const [norm, readers] of Object.entries(READERS)) {
      checkUnitGain(weights, `${prefix}${norm}.weight`);
      for (const reader of readers) {
        replace(result, `${prefix}${reader}.weight`, (weight) => rotation.apply(weight));
      }
    }
    for (const writer of WRITERS) {
      replace(result, `${prefix}${writer}.weight`, (weight) => rotateOutputs(weight, rotation));
      if (result.has(`${prefix}${writer}.bias`)) {
        replace(result, `${prefix}${writer}.bias`, (bias) => rotation.apply(bias));
      }
    }
  }
  return result;
}

/**
 * Rotates each head's values: the rows of `v_proj` and, undoing it, the columns of `o_proj` (SpinQuant's R2). The values
 * in the cache are then rotated too.
 *
 * @param weights A checkpoint. Not changed.
 * @param rotation A rotation of the head size, the same for all heads.
 * @returns The same model with rotated values.
 * @throws {RangeError} If a tensor is missing or does not consist of such heads.
 */
export function rotateValueHeads(weights: NamedWeights, rotation: Rotation): Map<string, Matrix> {
  const result = new Map(weights);
  const perHead = (channels: number): Rotation => blockRotation(rotation, channels / rotation.size);
  for (const prefix of layerPrefixes(weights)) {
    const value = `${prefix}self_attn.v_proj`;
    replace(result, `${value}.weight`, (weight) => rotateOutputs(weight, perHead(weight.rows)));
    if (result.has(`${value}.bias`)) {
      replace(result, `${value}.bias`, (bias) => perHead(bias.cols).apply(bias));
    }
    replace(result, `${prefix}self_attn.o_proj.weight`, (weight) => perHead(weight.cols).apply(weight));
  }
  return result;
}

/** A model of which some layers expect a rotated input. */
export interface RotatedModel {
  /** The rewritten checkpoint. */
  readonly weights: Map<string, Matrix>;
  /** By module name: the rotation to apply to the layer's input while the model runs. */
  readonly online: Map<string, Rotation>;
}

/**
 * Rotates the inputs of layers that no norm precedes. The rotation of their input has to be computed while the model
 * runs, which a Hadamard transform makes cheap.
 *
 * @param weights A checkpoint. Not changed.
 * @param modules Suffixes of the module names. Default `mlp.down_proj`.
 * @returns The rewritten checkpoint and the rotations of the inputs.
 * @throws {RangeError} If a tensor is missing.
 */
export function rotateOnline(
  weights: NamedWeights,
  modules: readonly string[] = ["mlp.down_proj"],
): RotatedModel {
  const result = new Map(weights);
  const online = new Map<string, Rotation>();
  for (const prefix of layerPrefixes(weights)) {
    for (const module of modules) {
      const rotation = hadamard(tensor(weights, `${prefix}${module}.weight`).cols);
      replace(result, `${prefix}${module}.weight`, (weight) => rotation.apply(weight));
      online.set(`${prefix}${module}`, rotation);
    }
  }
  return { weights: result, online };
}

/** Options of {@linkcode rotateModel}. */
export interface RotateModelOptions {
  /** Channels of one head. */
  readonly headSize: number;
  /** Rotation of the residual stream, such as a learned one. Default: a Hadamard rotation with random signs. */
  readonly residual?: Rotation;
  /** Rotation of each head's values. Default: Hadamard. */
  readonly head?: Rotation;
  /** Layers whose input is rotated while the model runs. Default `mlp.down_proj`; empty for none. */
  readonly onlineModules?: readonly string[];
  /** Seed of the random signs. Default 0. */
  readonly seed?: number;
}

/**
 * All of QuaRot's rewriting: norms folded, residual stream and values rotated, down projections rotated online.
 *
 * @param weights The checkpoint of a LLaMA, Mistral or Qwen model. Not changed.
 * @param options Head size and rotations.
 * @returns The rewritten checkpoint and the online rotations.
 * @throws {RangeError} If a tensor is missing.
 *
 * @example Usage
 * ```ts
 * import { openDirectory, openSafetensors } from "@quik/quant/io";
 * import { createMatrix, rotateModel } from "@quik/quant/quant";
 * import { assertEquals } from "@std/assert";
 *
 * const directory = openDirectory("tests/fixtures/golden/models/llama-gqa");
 * await using reader = await openSafetensors(await directory.open("model.safetensors"));
 * const weights = new Map<string, ReturnType<typeof createMatrix>>();
 * for (const [name, { shape }] of reader.tensors) {
 *   const [rows, cols] = shape.length === 1 ? [1, shape[0]] : shape;
 *   weights.set(name, createMatrix(rows, cols, await reader.readFloat32(name)));
 * }
 * const { online } = rotateModel(weights, { headSize: 16 });
 * assertEquals(online.get("model.layers.0.mlp.down_proj")?.size, 128);
 * ```
 */
export function rotateModel(weights: NamedWeights, options: RotateModelOptions): RotatedModel {
  const { headSize, seed = 0, onlineModules } = options;
  const hidden = tensor(weights, EMBEDDING).cols;
  const residual = options.residual ?? hadamard(hidden, { seed });
  const head = options.head ?? hadamard(headSize);
  const rotated = rotateResidual(foldModelNorms(weights), residual);
  return rotateOnline(rotateValueHeads(rotated, head), onlineModules);
}

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
  if (matrix === undefined) throw new RangeError(`Cannot rotate the model: it has no tensor ${name}`);
  return matrix;
}

function replace(weights: Map<string, Matrix>, name: string, change: (matrix: Matrix) => Matrix): void {
  weights.set(name, change(tensor(weights, name)));
}

function ones(count: number): Matrix {
  return createMatrix(1, count, new Float32Array(count).fill(1));
}

function checkUnitGain(weights: NamedWeights, name: string): void {
  if (tensor(weights, name).data.some((gain) => gain !== 1)) {
    throw new RangeError(`Cannot rotate the model: fold the gains of ${name} first`);
  }
}
