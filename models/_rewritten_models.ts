// The model as the last method that rewrites models had it, calibrated: methods that start from the same share it.
import type { Model } from "./model.ts";
import type { ModelRewrite, RewrittenModel } from "./model_method.ts";
import { type ObservedLayer, observeLayers } from "./observe_layers.ts";

/** What rewriting takes. */
export interface RewritingOptions {
  /** Token ids of the calibration windows. */
  readonly calibration: readonly Uint32Array<ArrayBuffer>[];
  /** Inputs to keep of each layer. */
  readonly samples?: number;
  /** Told the part that is done, 0 to 1. */
  readonly onPart: (part: number) => void;
  readonly signal?: AbortSignal;
}

/** A rewritten model and what calibration saw in it. */
export interface ObservedModel extends RewrittenModel {
  readonly layers: readonly ObservedLayer[];
}

/** Rewrites a model, and remembers the last result. It owns that. */
export class RewrittenModels implements Disposable {
  readonly #model: Model;
  #last: { readonly rewrite: ModelRewrite; readonly observed: ObservedModel } | undefined;

  /** Rewrites `model`. */
  constructor(model: Model) {
    this.#model = model;
  }

  /** The model as `rewrite` makes it; of use until the next is asked for. */
  async get(rewrite: ModelRewrite, options: RewritingOptions): Promise<ObservedModel> {
    if (this.#last?.rewrite === rewrite) return this.#last.observed;
    this[Symbol.dispose]();
    const { calibration, samples, onPart, signal } = options;
    const half = (from: number) => (done: number, total: number): void => onPart(from + done / total / 2);
    const rewritten = await rewrite(this.#model, { windows: calibration, signal, onProgress: half(0) });
    try {
      const layers = await observeLayers(rewritten.model, calibration, {
        samples,
        signal,
        onProgress: half(0.5),
      });
      const observed = { ...rewritten, layers };
      this.#last = { rewrite, observed };
      return observed;
    } catch (error) {
      rewritten.model.dispose();
      throw error;
    }
  }

  /** Frees the last model. */
  [Symbol.dispose](): void {
    this.#last?.observed.model.dispose();
    this.#last = undefined;
  }
}
