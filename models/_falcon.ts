// Falcon: layer norms, rotary positions, one or few key heads in a fused projection, attention and feed-forward in parallel.
import type { Fields } from "./_fields.ts";
import type { Weights } from "./_weights.ts";
import type { Architecture, Decoder } from "./decoder.ts";
import { DecoderBlock } from "./block.ts";
import { ACTIVATIONS, type ModelConfig, type ModelType, readCommonFields, readHeadSize } from "./config.ts";
import { readRope } from "./rope.ts";

interface FalconDetails {
  readonly bias: boolean;
  readonly parallel: boolean;
  /** Names of the norms before attention and feed-forward; equal where they share one. */
  readonly norms: readonly [string, string];
}

/** Reads a Falcon configuration. */
export function readFalcon(fields: Fields, modelType: ModelType): Architecture {
  if (fields.flag("alibi", false)) fields.fail("alibi", "false", true);
  const hiddenSize = fields.size("hidden_size");
  const heads = fields.size("num_attention_heads");
  const layers = fields.size("num_hidden_layers");
  const grouped = fields.flag("new_decoder_architecture", false);
  const kvHeads = readKvHeads(fields, { heads, grouped });
  const config: ModelConfig = {
    modelType,
    ...readCommonFields(fields),
    hiddenSize,
    intermediateSize: fields.size("ffn_hidden_size", 4 * hiddenSize),
    layers,
    heads,
    kvHeads,
    headSize: readHeadSize(fields, { hiddenSize, heads, kvHeads }),
    maxPositions: fields.size("max_position_embeddings", 2048),
    normEpsilon: fields.positive("layer_norm_epsilon", 1e-5),
    activation: fields.choice("activation", ACTIVATIONS, "gelu"),
    rope: readRope(fields),
    windows: new Array<number>(layers).fill(0),
    tieWordEmbeddings: fields.flag("tie_word_embeddings", true),
  };
  const details = { bias: fields.flag("bias", false), ...readArrangement(fields, grouped) };
  return { config, build: (weights) => build(weights, config, details) };
}

/** With `multi_query` there is one key head, whatever `num_kv_heads` says. */
function readKvHeads(fields: Fields, options: { readonly heads: number; readonly grouped: boolean }): number {
  const { heads, grouped } = options;
  if (grouped) return fields.size("num_kv_heads", heads);
  return fields.flag("multi_query", true) ? 1 : heads;
}

function readArrangement(fields: Fields, grouped: boolean): Pick<FalconDetails, "parallel" | "norms"> {
  const parallel = grouped || fields.flag("parallel_attn", true);
  if (!parallel) return { parallel, norms: ["input_layernorm", "post_attention_layernorm"] };
  const twoNorms = grouped && fields.size("num_ln_in_parallel_attn", 2) === 2;
  return { parallel, norms: twoNorms ? ["ln_attn", "ln_mlp"] : ["input_layernorm", "input_layernorm"] };
}

async function build(weights: Weights, config: ModelConfig, details: FalconDetails): Promise<Decoder> {
  const { vocabularySize, hiddenSize, layers, normEpsilon: epsilon } = config;
  const tokens = await weights.table("transformer.word_embeddings.weight", {
    rows: vocabularySize,
    columns: hiddenSize,
  });
  const blocks: DecoderBlock[] = [];
  for (let layer = 0; layer < layers; layer++) blocks.push(await buildBlock(weights, config, details, layer));
  const finalNorm = await weights.norm("transformer.ln_f", hiddenSize, { epsilon, bias: true });
  return { tokens, blocks, finalNorm, head: await weights.head(tokens, config) };
}

async function buildBlock(
  weights: Weights,
  config: ModelConfig,
  details: FalconDetails,
  layer: number,
): Promise<DecoderBlock> {
  const { hiddenSize, intermediateSize, heads, kvHeads, headSize, normEpsilon: epsilon } = config;
  const { bias, parallel, norms: [attentionNormName, mlpNormName] } = details;
  const base = `transformer.h.${layer}`;
  const norm = (name: string) => weights.norm(`${base}.${name}`, hiddenSize, { epsilon, bias: true });
  const linear = (name: string, outputs: number, inputs: number) =>
    weights.linear(`${base}.${name}`, { outputs, inputs, bias });
  const [query, key, value] = await weights.fusedLinear(
    `${base}.self_attention.query_key_value`,
    { outputs: (heads + 2 * kvHeads) * headSize, inputs: hiddenSize, bias },
    fusedRows({ heads, kvHeads, headSize }),
  );
  const attentionNorm = await norm(attentionNormName);
  return new DecoderBlock(layer, {
    arrangement: parallel ? "parallel" : "sequential",
    attentionNorm,
    attention: {
      inputs: [query, key, value],
      output: await linear("self_attention.dense", hiddenSize, hiddenSize),
      heads,
      kvHeads,
      headSize,
      window: 0,
    },
    feedForwardNorm: mlpNormName === attentionNormName ? attentionNorm : await norm(mlpNormName),
    feedForward: {
      inputs: [await linear("mlp.dense_h_to_4h", intermediateSize, hiddenSize)],
      output: await linear("mlp.dense_4h_to_h", hiddenSize, intermediateSize),
      activation: config.activation,
    },
  });
}

/**
 * Rows of queries, keys and values in the fused projection. They lie in one group per key head: its query heads, its
 * key, its value. One key head (Falcon-7B) and as many as query heads are the ends of the same rule.
 */
export function fusedRows(
  sizes: { readonly heads: number; readonly kvHeads: number; readonly headSize: number },
): Record<".query" | ".key" | ".value", number[]> {
  const { heads, kvHeads, headSize } = sizes;
  const queries = heads / kvHeads;
  const rowsOf = (keep: (place: number) => boolean): number[] => {
    const rows: number[] = [];
    for (let head = 0; head < heads + 2 * kvHeads; head++) {
      if (!keep(head % (queries + 2))) continue;
      for (let i = 0; i < headSize; i++) rows.push(head * headSize + i);
    }
    return rows;
  };
  return {
    ".query": rowsOf((place) => place < queries),
    ".key": rowsOf((place) => place === queries),
    ".value": rowsOf((place) => place === queries + 1),
  };
}
