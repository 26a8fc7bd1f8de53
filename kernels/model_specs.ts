// Ops of a decoder around its linear layers, and the statistics that calibration takes. Conventions are those of specs.ts.
import type { Activation, FloatType } from "./storage.ts";

/** `y = table[ids]`, row by row. Inputs: table `[vocabulary, columns]`, ids uint32 `[rows]`. Output: y `[rows, columns]`. */
export interface GatherRowsSpec {
  /** Names the op. */
  readonly op: "gather_rows";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
  /** Storage type of the table. */
  readonly tableType: FloatType;
}

/** `target[positions[i]] = source[i]`, row by row: how a KV cache grows.
 * Inputs: source `[rows, columns]`, positions uint32 `[rows]`. Output: target (at least `max(positions) + 1` rows). */
export interface ScatterRowsSpec {
  /** Names the op. */
  readonly op: "scatter_rows";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
}

/** `y = x / sqrt(mean(x^2) + epsilon) * weight` per row. Inputs: x, weight `[columns]`. Output: y. */
export interface RmsNormSpec {
  /** Names the op. */
  readonly op: "rms_norm";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
  /** Added under the root. */
  readonly epsilon: number;
}

/** `y = (x - mean) / sqrt(variance + epsilon) * weight + bias` per row. Inputs: x, weight, bias `[columns]`. Output: y. */
export interface LayerNormSpec {
  /** Names the op. */
  readonly op: "layer_norm";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
  /** Added under the root. */
  readonly epsilon: number;
}

/**
 * Rotary position embedding in the Hugging Face ("half split") order: for each head, pair (i, i + headSize / 2) turns by
 * the angle of `positions[row]`. Inputs: x `[rows, heads * headSize]`, cosines and sines `[maxPositions, headSize / 2]`,
 * positions uint32 `[rows]`. Output: y.
 */
export interface RopeSpec {
  /** Names the op. */
  readonly op: "rope";
  /** Tokens. */
  readonly rows: number;
  /** Query heads. */
  readonly heads: number;
  /** Width of a head. */
  readonly headSize: number;
}

/**
 * Causal grouped-query attention over a cache: query row i attends cache rows `0..positions[i]`, at most the last
 * `window` of them when `window > 0`. Scores are scaled by `1 / sqrt(headSize)`.
 * Inputs: q `[rows, heads * headSize]`, keys and values `[capacity, kvHeads * headSize]`, positions uint32 `[rows]`.
 * Output: y `[rows, heads * headSize]`.
 */
export interface AttentionSpec {
  /** Names the op. */
  readonly op: "attention";
  /** Tokens. */
  readonly rows: number;
  /** Query heads. */
  readonly heads: number;
  /** Key and value heads; divides `heads`. */
  readonly kvHeads: number;
  /** Width of a head. */
  readonly headSize: number;
  /** Rows of the cache. */
  readonly capacity: number;
  /** Last positions that a query sees; 0 for all. */
  readonly window: number;
}

/** `y = f(x)`. Input: x. Output: y. */
export interface ActivationSpec {
  /** Names the op. */
  readonly op: "activation";
  /** Number of elements. */
  readonly count: number;
  /** The nonlinearity. */
  readonly activation: Activation;
}

/** `y = f(gate) * up`. Inputs: gate, up. Output: y. */
export interface GatedActivationSpec {
  /** Names the op. */
  readonly op: "gated_activation";
  /** Number of elements. */
  readonly count: number;
  /** The nonlinearity. */
  readonly activation: Activation;
}

/** `y = a + b`. Inputs: a, b. Output: y (may be a or b). */
export interface AddSpec {
  /** Names the op. */
  readonly op: "add";
  /** Number of elements. */
  readonly count: number;
}

/** `nll[i] = logSumExp(logits[i]) - logits[i, targets[i]]`. Inputs: logits `[rows, columns]`, targets uint32 `[rows]`. Output: nll `[rows]`. */
export interface TokenNllSpec {
  /** Names the op. */
  readonly op: "token_nll";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
}

/** `ids[i] = ` the column of the largest logit of row i, the lowest of equals. NaN is never the largest; a row of NaN gives 0.
 * Input: logits `[rows, columns]`. Output: ids uint32 `[rows]`. */
export interface ArgmaxSpec {
  /** Names the op. */
  readonly op: "argmax";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
}

/** `gram += x^T x`, for Hessians. Input: x `[rows, columns]`. Output: gram `[columns, columns]`, both triangles, accumulated in place. */
export interface GramSpec {
  /** Names the op. */
  readonly op: "gram";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
}

/** `absmax[j] = max(absmax[j], |x[., j]|)`, accumulated in place. Input: x `[rows, columns]`. Output: absmax `[columns]`. */
export interface ColumnAbsmaxSpec {
  /** Names the op. */
  readonly op: "column_absmax";
  /** Tokens. */
  readonly rows: number;
  /** Output features, or features of a row. */
  readonly columns: number;
}
