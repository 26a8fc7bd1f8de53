// The LLaMA family: LLaMA, Mistral, Qwen 2 and Qwen 3. RMS norms, rotary positions, grouped queries, gated feed-forward.
import type { Fields } from "./_fields.ts";
import type { Weights } from "./_weights.ts";
import type { Architecture, Decoder } from "./decoder.ts";
import { DecoderBlock } from "./block.ts";
import { ACTIVATIONS, type ModelConfig, type ModelType, readCommonFields, readHeadSize } from "./config.ts";
import { readRope } from "./rope.ts";

/** Which layers have a bias, and whether heads are normed: where the family's members differ. */
interface Variant {
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  readonly headNorms: boolean;
}

/** Reads the configuration of a model of the family. */
export function readLlama(fields: Fields, modelType: ModelType): Architecture {
  const hiddenSize = fields.size("hidden_size");
  const heads = fields.size("num_attention_heads");
  const kvHeads = fields.size("num_key_value_heads", heads);
  const layers = fields.size("num_hidden_layers");
  const config: ModelConfig = {
    modelType,
    ...readCommonFields(fields),
    hiddenSize,
    intermediateSize: fields.size("intermediate_size"),
    layers,
    heads,
    kvHeads,
    headSize: readHeadSize(fields, { hiddenSize, heads, kvHeads }),
    maxPositions: fields.size("max_position_embeddings"),
    normEpsilon: fields.positive("rms_norm_eps", 1e-6),
    activation: fields.choice("hidden_act", ACTIVATIONS, "silu"),
    rope: readRope(fields),
    windows: readWindows(fields, modelType, layers),
    tieWordEmbeddings: fields.flag("tie_word_embeddings", false),
  };
  const variant = readVariant(fields, modelType);
  return { config, build: (weights) => build(weights, config, variant) };
}

function readVariant(fields: Fields, modelType: ModelType): Variant {
  const attentionBias = modelType === "mistral" ? false : fields.flag("attention_bias", false);
  return {
    qkvBias: attentionBias || modelType === "qwen2",
    outputBias: attentionBias && modelType !== "qwen2",
    mlpBias: modelType === "llama" && fields.flag("mlp_bias", false),
    headNorms: modelType === "qwen3",
  };
}

/** Mistral's window holds for all layers; Qwen's for those that `layer_types` names or that lie above `max_window_layers`. */
function readWindows(fields: Fields, modelType: ModelType, layers: number): number[] {
  const none = new Array<number>(layers).fill(0);
  if (modelType === "llama" || !fields.has("sliding_window")) return none;
  const window = fields.size("sliding_window");
  if (modelType === "mistral") return none.fill(window);
  if (!fields.flag("use_sliding_window", false)) return none;
  const types = fields.raw("layer_types");
  if (types === undefined) return none.fill(window, fields.size("max_window_layers", 28));
  if (!Array.isArray(types) || types.length !== layers) {
    fields.fail("layer_types", `a list of ${layers} types`, types);
  }
  return types.map((type) => type === "sliding_attention" ? window : 0);
}

async function build(weights: Weights, config: ModelConfig, variant: Variant): Promise<Decoder> {
  const { vocabularySize, hiddenSize, layers, normEpsilon } = config;
  const tokens = await weights.table("model.embed_tokens.weight", {
    rows: vocabularySize,
    columns: hiddenSize,
  });
  const blocks: DecoderBlock[] = [];
  for (let layer = 0; layer < layers; layer++) blocks.push(await buildBlock(weights, config, variant, layer));
  const finalNorm = await weights.norm("model.norm", hiddenSize, { epsilon: normEpsilon, bias: false });
  return { tokens, blocks, finalNorm, head: await weights.head(tokens, config) };
}

async function buildBlock(
  weights: Weights,
  config: ModelConfig,
  variant: Variant,
  layer: number,
): Promise<DecoderBlock> {
  const { hiddenSize, intermediateSize, heads, kvHeads, headSize } = config;
  const { qkvBias, outputBias, mlpBias, headNorms } = variant;
  const base = `model.layers.${layer}`;
  const norm = (name: string, columns: number) =>
    weights.norm(`${base}.${name}`, columns, { epsilon: config.normEpsilon, bias: false });
  const linear = (name: string, outputs: number, inputs: number, bias: boolean) =>
    weights.linear(`${base}.${name}`, { outputs, inputs, bias });
  return new DecoderBlock(layer, {
    arrangement: "sequential",
    attentionNorm: await norm("input_layernorm", hiddenSize),
    attention: {
      inputs: [
        await linear("self_attn.q_proj", heads * headSize, hiddenSize, qkvBias),
        await linear("self_attn.k_proj", kvHeads * headSize, hiddenSize, qkvBias),
        await linear("self_attn.v_proj", kvHeads * headSize, hiddenSize, qkvBias),
      ],
      output: await linear("self_attn.o_proj", hiddenSize, heads * headSize, outputBias),
      queryNorm: headNorms ? await norm("self_attn.q_norm", headSize) : undefined,
      keyNorm: headNorms ? await norm("self_attn.k_norm", headSize) : undefined,
      heads,
      kvHeads,
      headSize,
      window: config.windows[layer],
    },
    feedForwardNorm: await norm("post_attention_layernorm", hiddenSize),
    feedForward: {
      inputs: [
        await linear("mlp.gate_proj", intermediateSize, hiddenSize, mlpBias),
        await linear("mlp.up_proj", intermediateSize, hiddenSize, mlpBias),
      ],
      output: await linear("mlp.down_proj", hiddenSize, intermediateSize, mlpBias),
      activation: config.activation,
    },
  });
}
