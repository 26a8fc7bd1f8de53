// Configurations: what each field becomes, in both generations of spelling, and what is refused.
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { parseModelConfig, ropeFrequencies } from "../../models/mod.ts";
import { readConfig } from "./_fixtures.ts";

/** The configuration of a golden model with fields changed; undefined removes one. */
const changed = (model: string, fields: Record<string, unknown>) => ({ ...readConfig(model), ...fields });

Deno.test("parseModelConfig() reads the dimensions of a model", () => {
  const config = parseModelConfig(readConfig("llama-gqa"));
  assertEquals(config, {
    modelType: "llama",
    vocabularySize: 160,
    bosTokenId: 1,
    eosTokenIds: [2],
    quantization: undefined,
    hiddenSize: 64,
    intermediateSize: 128,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headSize: 16,
    maxPositions: 64,
    normEpsilon: 1e-6,
    activation: "silu",
    rope: { theta: 10000 },
    windows: [0, 0],
    tieWordEmbeddings: false,
  });
});

Deno.test("parseModelConfig() reads the spelling of Transformers 4", () => {
  const old = {
    rope_parameters: undefined,
    rope_theta: 500,
    eos_token_id: [2, 3],
    num_key_value_heads: null,
  };
  const config = parseModelConfig(changed("llama-gqa", { ...old, head_dim: undefined }));
  assertEquals([config.rope, config.eosTokenIds, config.kvHeads, config.headSize], [
    { theta: 500 },
    [2, 3],
    4,
    16,
  ]);
  const scaled = { ...old, rope_scaling: { type: "linear", factor: 2 } };
  assertEquals(parseModelConfig(changed("llama-gqa", scaled)).rope, {
    theta: 500,
    scaling: { kind: "linear", factor: 2 },
  });
});

const WINDOWS: [model: string, fields: Record<string, unknown>, windows: number[]][] = [
  ["llama-gqa", { sliding_window: 9 }, [0, 0]],
  ["mistral", { sliding_window: 9 }, [9, 9]],
  ["mistral", { sliding_window: null }, [0, 0]],
  ["qwen2", { sliding_window: 9, use_sliding_window: false }, [0, 0]],
  ["qwen2", { sliding_window: 9, use_sliding_window: true, max_window_layers: 1, layer_types: null }, [0, 9]],
  [
    "qwen3",
    { sliding_window: 9, use_sliding_window: true, layer_types: ["sliding_attention", "full_attention"] },
    [9, 0],
  ],
];

for (const [model, fields, windows] of WINDOWS) {
  Deno.test(`parseModelConfig() of ${model} with ${JSON.stringify(fields)} has windows ${windows}`, () => {
    assertEquals(parseModelConfig(changed(model, fields)).windows, windows);
  });
}

const BAD: [model: string, fields: Record<string, unknown>, problem: string][] = [
  [
    "llama-gqa",
    { model_type: "mamba" },
    'model_type must be one of llama, mistral, qwen2, qwen3, opt, falcon, gpt2, it is "mamba"',
  ],
  ["llama-gqa", { model_type: "toString" }, "model_type must be one of"],
  ["llama-gqa", { model_type: undefined }, "model_type must be a string, it is missing"],
  ["llama-gqa", { hidden_size: undefined }, "hidden_size must be a positive integer, it is missing"],
  ["llama-gqa", { hidden_size: "64" }, 'hidden_size must be a positive integer, it is "64"'],
  ["llama-gqa", { num_hidden_layers: 0 }, "num_hidden_layers must be a positive integer, it is 0"],
  ["llama-gqa", { num_key_value_heads: 3 }, "num_key_value_heads must be a divisor of 4 heads, it is 3"],
  ["llama-gqa", { head_dim: null, num_attention_heads: 6 }, "must be a divisor of width 64, it is 6"],
  ["llama-gqa", { rms_norm_eps: -1 }, "rms_norm_eps must be a positive number, it is -1"],
  ["llama-gqa", { hidden_act: "tanh" }, 'it is "tanh"'],
  ["llama-gqa", { tie_word_embeddings: 1 }, "tie_word_embeddings must be true or false, it is 1"],
  ["llama-gqa", { eos_token_id: "2" }, "eos_token_id must be token ids"],
  [
    "llama-gqa",
    { rope_parameters: { rope_type: "yarn" } },
    'rope_type must be default, linear or llama3, it is "yarn"',
  ],
  [
    "llama-gqa",
    { rope_parameters: { rope_type: "llama3" } },
    "factor must be a positive number, it is missing",
  ],
  ["llama-gqa", { rope_parameters: [] }, "rope_parameters of config.json: it is not a JSON object"],
  ["llama-gqa", { partial_rotary_factor: 0.5 }, "partial_rotary_factor must be 1, it is 0.5"],
  ["qwen2", { sliding_window: 9, use_sliding_window: true, layer_types: [] }, "a list of 2 types"],
  ["falcon", { alibi: true }, "alibi must be false, it is true"],
  ["gpt2", { scale_attn_weights: false }, "scale_attn_weights must be true, it is false"],
  ["gpt2", { scale_attn_by_inverse_layer_idx: true }, "must be false, it is true"],
  ["opt", { layer_norm_elementwise_affine: false }, "must be true, it is false"],
];

for (const [model, fields, problem] of BAD) {
  Deno.test(`parseModelConfig() of ${model} refuses ${JSON.stringify(fields)}`, () => {
    assertThrows(() => parseModelConfig(changed(model, fields)), TypeError, problem);
  });
}

Deno.test("parseModelConfig() names what is no configuration", () => {
  assertThrows(
    () => parseModelConfig([], { name: "x/config.json" }),
    TypeError,
    "x/config.json: it is not a JSON object",
  );
});

Deno.test("ropeFrequencies() falls by theta^(-2/headSize) and is stretched as configured", () => {
  assertEquals([...ropeFrequencies({ theta: 100 }, 4)], [1, 0.1]);
  assertEquals([...ropeFrequencies({ theta: 100, scaling: { kind: "linear", factor: 4 } }, 4)], [
    0.25,
    0.025,
  ]);
  const scaling = {
    kind: "llama3",
    factor: 8,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalPositions: 2 * Math.PI * 20,
  } as const;
  // Turns over the original positions: 20 (kept), 2 (between: a third kept), 0.2 (divided).
  const [high, middle, low] = ropeFrequencies({ theta: 1000, scaling }, 6);
  assertAlmostEquals(high, 1, 1e-12);
  assertAlmostEquals(middle, 0.1 * (1 / 3 + 2 / 3 / 8), 1e-12);
  assertAlmostEquals(low, 0.01 / 8, 1e-12);
  assertThrows(() => ropeFrequencies({ theta: 100 }, 5), RangeError, "Cannot rotate heads of 5");
});
