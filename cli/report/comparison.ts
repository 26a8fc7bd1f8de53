// What a report tells of: rows, the settings behind them, and the float model's layers.
import type { ComparisonRow } from "../../models/mod.ts";
import type { LayerCalibration, LinearLayer } from "../../quant/mod.ts";

/** How a comparison was made. */
export interface ComparisonSettings {
  /** Directory of the checkpoint. */
  readonly model: string;
  /** Whether outlier channels were made by an exact rescaling. */
  readonly amplified: boolean;
  /** Tokens of a window. */
  readonly window: number;
  /** Windows evaluated. */
  readonly windows: number;
  /** Windows calibrated on. */
  readonly calibrationWindows: number;
  /** Name of the backend. */
  readonly backend: string;
  /** Methods measured at the same time. */
  readonly jobs: number;
  /** Seconds in all, calibration included. */
  readonly seconds: number;
}

/** A linear layer of the float model, and what calibration saw of its inputs. */
export interface ComparedLayer extends LinearLayer {
  /** Shared by layers that read the same input. */
  readonly calibration: LayerCalibration;
}

/** A finished comparison. */
export interface Comparison {
  /** How it was made. */
  readonly settings: ComparisonSettings;
  /** Perplexity of the float model. */
  readonly floatPerplexity: number;
  /** A row per method. */
  readonly rows: readonly ComparisonRow[];
  /** The layers, in the order of the forward. */
  readonly layers: readonly ComparedLayer[];
}

/** Where a layer sits, for labels: `model.layers.3.mlp.up_proj` is `up` in block 3. */
export function placeOf(layer: string): { readonly block: number; readonly part: string } {
  const block = Number(/\.(\d+)\./.exec(layer)?.[1] ?? 0);
  return { block, part: layer.split(".").at(-1)!.replace(/_proj$/, "") };
}

/** Settings in a sentence. */
export function describeSettings(settings: ComparisonSettings): string {
  const { windows, window, calibrationWindows, backend, amplified } = settings;
  return `Perplexity over ${windows} windows of ${window} tokens of held-out text; calibrated on ${calibrationWindows} windows of ` +
    `training text; computed on the ${backend} backend.` +
    (amplified
      ? " The model's outliers were made real by an exact rescaling: the gains of a few norm channels times 30, the weights that read them divided by 30; the float model computes what it did before."
      : "");
}
