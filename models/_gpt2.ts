// GPT-2: layer norms, learned positions, a fused query-key-value projection, and weights stored `[inputs, outputs]`.
import type { Fields } from "./_fields.ts";
import type { Weights } from "./_weights.ts";
import type { Architecture, Decoder } from "./decoder.ts";
import { DecoderBlock } from "./block.ts";
import { ACTIVATIONS, type ModelConfig, type ModelType, readCommonFields, readHeadSize } from "./config.ts";
import type { LinearSlot } from "./linear_slot.ts";

/** Reads a GPT-2 configuration. */
export function readGpt2(fields: Fields, modelType: ModelType): Architecture {
  const hiddenSize = fields.size("n_embd");
  const heads = fields.size("n_head");
  const layers = fields.size("n_layer");
  if (!fields.flag("scale_attn_weights", true)) fields.fail("scale_attn_weights", "true", false);
  if (fields.flag("scale_attn_by_inverse_layer_idx", false)) {
    fields.fail("scale_attn_by_inverse_layer_idx", "false", true);
  }
  const config: ModelConfig = {
    modelType,
    ...readCommonFields(fields),
    hiddenSize,
    intermediateSize: fields.size("n_inner", 4 * hiddenSize),
    layers,
    heads,
    kvHeads: heads,
    headSize: readHeadSize(fields, { hiddenSize, heads, kvHeads: heads }),
    maxPositions: fields.size("n_positions"),
    normEpsilon: fields.positive("layer_norm_epsilon", 1e-5),
    activation: fields.choice("activation_function", ACTIVATIONS, "gelu_new"),
    windows: new Array<number>(layers).fill(0),
    tieWordEmbeddings: fields.flag("tie_word_embeddings", true),
  };
  return { config, build: (weights) => build(weights, config) };
}

async function build(weights: Weights, config: ModelConfig): Promise<Decoder> {
  const { vocabularySize, hiddenSize, maxPositions, layers, normEpsilon: epsilon } = config;
  // The hub's original file lacks the outer name.
  const prefix = weights.has("wte.weight") ? "" : "transformer.";
  const tokens = await weights.table(`${prefix}wte.weight`, { rows: vocabularySize, columns: hiddenSize });
  const positions = await weights.table(`${prefix}wpe.weight`, { rows: maxPositions, columns: hiddenSize });
  const blocks: DecoderBlock[] = [];
  for (let layer = 0; layer < layers; layer++) {
    blocks.push(await buildBlock(weights, config, { layer, base: `${prefix}h.${layer}` }));
  }
  const finalNorm = await weights.norm(`${prefix}ln_f`, hiddenSize, { epsilon, bias: true });
  return { tokens, positions, blocks, finalNorm, head: await weights.head(tokens, config) };
}

async function buildBlock(
  weights: Weights,
  config: ModelConfig,
  place: { readonly layer: number; readonly base: string },
): Promise<DecoderBlock> {
  const { hiddenSize, intermediateSize, heads, headSize, activation, normEpsilon: epsilon } = config;
  const { layer, base } = place;
  const norm = (name: string) => weights.norm(`${base}.${name}`, hiddenSize, { epsilon, bias: true });
  const linear = (name: string, outputs: number, inputs: number): Promise<LinearSlot> =>
    weights.linear(`${base}.${name}`, { outputs, inputs, bias: true, transposed: true });
  const rowsFrom = (first: number) => Array.from({ length: hiddenSize }, (_, i) => first + i);
  const [query, key, value] = await weights.fusedLinear(
    `${base}.attn.c_attn`,
    { outputs: 3 * hiddenSize, inputs: hiddenSize, bias: true, transposed: true },
    { ".query": rowsFrom(0), ".key": rowsFrom(hiddenSize), ".value": rowsFrom(2 * hiddenSize) },
  );
  return new DecoderBlock(layer, {
    arrangement: "sequential",
    attentionNorm: await norm("ln_1"),
    attention: {
      inputs: [query, key, value],
      output: await linear("attn.c_proj", hiddenSize, hiddenSize),
      heads,
      kvHeads: heads,
      headSize,
      window: 0,
    },
    feedForwardNorm: await norm("ln_2"),
    feedForward: {
      inputs: [await linear("mlp.c_fc", intermediateSize, hiddenSize)],
      output: await linear("mlp.c_proj", hiddenSize, intermediateSize),
      activation,
    },
  });
}
