// What a backend can be asked to compute: every op as plain data. A spec names the op, its formats and shapes,
// and nothing else; it is the key under which a backend caches the prepared kernel.
//
// Conventions shared by all ops:
// - Matrices are row-major. `rows` counts tokens, `columns` output features, `inner` the reduction length.
// - Weights are `[columns, inner]` as in Hugging Face checkpoints, so every product is `x * weight^T`.
// - Float buffers are float32 unless a spec names another type; index buffers are uint32.
// - A row of packed codes or of float16 outliers starts at a multiple of 16 bytes and is padded with zeros
//   (`packedRowBytes`, `float16RowBytes`), so that every backend may load 16 bytes at a time.
import type { FbgemmSpec } from "./fbgemm_specs.ts";
import type {
  CodebookLinearSpec,
  DenseLinearSpec,
  IntegerMatmulSpec,
  QuantizeActivationsSpec,
  QuikLayerSpec,
  QuikLinearSpec,
} from "./linear_specs.ts";
import type {
  ActivationSpec,
  AddSpec,
  ArgmaxSpec,
  AttentionSpec,
  ColumnAbsmaxSpec,
  GatedActivationSpec,
  GatherRowsSpec,
  GramSpec,
  LayerNormSpec,
  RmsNormSpec,
  RopeSpec,
  ScatterRowsSpec,
  TokenNllSpec,
} from "./model_specs.ts";
import type { QuantizationSpec } from "./quantization_specs.ts";

export type * from "./fbgemm_specs.ts";
export * from "./linear_specs.ts";
export type * from "./model_specs.ts";
export type * from "./quantization_specs.ts";
export * from "./storage.ts";

/** Everything a backend can be asked to compute. */
export type KernelSpec =
  | DenseLinearSpec
  | QuantizeActivationsSpec
  | IntegerMatmulSpec
  | QuikLinearSpec
  | QuikLayerSpec
  | GatherRowsSpec
  | ScatterRowsSpec
  | RmsNormSpec
  | LayerNormSpec
  | RopeSpec
  | AttentionSpec
  | ActivationSpec
  | GatedActivationSpec
  | AddSpec
  | TokenNllSpec
  | ArgmaxSpec
  | GramSpec
  | ColumnAbsmaxSpec
  | CodebookLinearSpec
  | QuantizationSpec
  | FbgemmSpec;

/** Name of an op. */
export type OpName = KernelSpec["op"];
