// OPT: layer norms, learned positions (stored after two unused rows), ReLU; the 350m model is post-norm and narrows
// its embeddings.
import type { Fields } from "./_fields.ts";
import type { Weights } from "./_weights.ts";
import type { Architecture, Decoder } from "./decoder.ts";
import { type Arrangement, DecoderBlock } from "./block.ts";
import { ACTIVATIONS, type ModelConfig, type ModelType, readCommonFields, readHeadSize } from "./config.ts";

/** Rows before position 0 in OPT's table. */
const UNUSED_POSITIONS = 2;

/** PyTorch's default, which OPT does not configure. */
const NORM_EPSILON = 1e-5;

interface OptDetails {
  readonly embeddingSize: number;
  readonly arrangement: Arrangement;
  readonly finalNorm: boolean;
  readonly bias: boolean;
}

/** Reads an OPT configuration. */
export function readOpt(fields: Fields, modelType: ModelType): Architecture {
  const hiddenSize = fields.size("hidden_size");
  const heads = fields.size("num_attention_heads");
  const layers = fields.size("num_hidden_layers");
  if (!fields.flag("layer_norm_elementwise_affine", true)) {
    fields.fail("layer_norm_elementwise_affine", "true", false);
  }
  const config: ModelConfig = {
    modelType,
    ...readCommonFields(fields),
    hiddenSize,
    intermediateSize: fields.size("ffn_dim"),
    layers,
    heads,
    kvHeads: heads,
    headSize: readHeadSize(fields, { hiddenSize, heads, kvHeads: heads }),
    maxPositions: fields.size("max_position_embeddings"),
    normEpsilon: NORM_EPSILON,
    activation: fields.choice("activation_function", ACTIVATIONS, "relu"),
    windows: new Array<number>(layers).fill(0),
    tieWordEmbeddings: fields.flag("tie_word_embeddings", true),
  };
  const preNorm = fields.flag("do_layer_norm_before", true);
  const details: OptDetails = {
    embeddingSize: fields.size("word_embed_proj_dim", hiddenSize),
    arrangement: preNorm ? "sequential" : "post_norm",
    finalNorm: preNorm && !fields.flag("_remove_final_layer_norm", false),
    bias: fields.flag("enable_bias", true),
  };
  return { config, build: (weights) => build(weights, config, details) };
}

async function build(weights: Weights, config: ModelConfig, details: OptDetails): Promise<Decoder> {
  const { vocabularySize, hiddenSize, maxPositions, layers, normEpsilon: epsilon } = config;
  const { embeddingSize } = details;
  // Files of the first release lack the outer name.
  const base = weights.has("decoder.embed_tokens.weight") ? "decoder" : "model.decoder";
  const tokens = await weights.table(`${base}.embed_tokens.weight`, {
    rows: vocabularySize,
    columns: embeddingSize,
  });
  const positions = await weights.table(`${base}.embed_positions.weight`, {
    rows: maxPositions,
    columns: hiddenSize,
    skip: UNUSED_POSITIONS,
  });
  const narrow = embeddingSize !== hiddenSize;
  const project = (name: string, outputs: number, inputs: number) =>
    weights.linear(`${base}.${name}`, { outputs, inputs, bias: false });
  const projectIn = narrow ? await project("project_in", hiddenSize, embeddingSize) : undefined;
  const blocks: DecoderBlock[] = [];
  for (let layer = 0; layer < layers; layer++) {
    blocks.push(await buildBlock(weights, config, details, { layer, base: `${base}.layers.${layer}` }));
  }
  return {
    tokens,
    positions,
    projectIn,
    blocks,
    finalNorm: details.finalNorm
      ? await weights.norm(`${base}.final_layer_norm`, hiddenSize, { epsilon, bias: true })
      : undefined,
    projectOut: narrow ? await project("project_out", embeddingSize, hiddenSize) : undefined,
    head: await weights.head(tokens, config),
  };
}

async function buildBlock(
  weights: Weights,
  config: ModelConfig,
  details: OptDetails,
  place: { readonly layer: number; readonly base: string },
): Promise<DecoderBlock> {
  const { hiddenSize, intermediateSize, heads, headSize, activation, normEpsilon: epsilon } = config;
  const { layer, base } = place;
  const { bias } = details;
  const norm = (name: string) => weights.norm(`${base}.${name}`, hiddenSize, { epsilon, bias: true });
  const linear = (name: string, outputs: number, inputs: number) =>
    weights.linear(`${base}.${name}`, { outputs, inputs, bias });
  return new DecoderBlock(layer, {
    arrangement: details.arrangement,
    attentionNorm: await norm("self_attn_layer_norm"),
    attention: {
      inputs: [
        await linear("self_attn.q_proj", hiddenSize, hiddenSize),
        await linear("self_attn.k_proj", hiddenSize, hiddenSize),
        await linear("self_attn.v_proj", hiddenSize, hiddenSize),
      ],
      output: await linear("self_attn.out_proj", hiddenSize, hiddenSize),
      heads,
      kvHeads: heads,
      headSize,
      window: 0,
    },
    feedForwardNorm: await norm("final_layer_norm"),
    feedForward: {
      inputs: [await linear("fc1", intermediateSize, hiddenSize)],
      output: await linear("fc2", hiddenSize, intermediateSize),
      activation,
    },
  });
}
