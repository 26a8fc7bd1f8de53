// Rotary frequencies from a configuration: the plain rule, linear interpolation and LLaMA 3's.
import type { Fields } from "./_fields.ts";

/** How LLaMA 3.1 stretches its frequencies to longer texts. */
export interface Llama3Scaling {
  /** Tells the two scalings apart. */
  readonly kind: "llama3";
  /** Divisor of the low frequencies. */
  readonly factor: number;
  /** Wavelengths above `originalPositions / lowFrequencyFactor` are divided. */
  readonly lowFrequencyFactor: number;
  /** Wavelengths below `originalPositions / highFrequencyFactor` stay. */
  readonly highFrequencyFactor: number;
  /** Positions the model was first trained on. */
  readonly originalPositions: number;
}

/** All frequencies divided by one factor. */
export interface LinearScaling {
  /** Tells the two scalings apart. */
  readonly kind: "linear";
  /** The divisor. */
  readonly factor: number;
}

/** A rotary embedding. */
export interface RopeConfig {
  /** Base of the geometric series of frequencies, `rope_theta`. */
  readonly theta: number;
  /** How frequencies are stretched, if they are. */
  readonly scaling?: Llama3Scaling | LinearScaling;
}

/**
 * Reads the rotary embedding from `rope_parameters` (Transformers 5) or `rope_theta` and `rope_scaling` (4).
 *
 * @param fields Fields of `config.json`.
 * @returns The embedding.
 * @throws {TypeError} If its type is not default, linear or llama3, or only part of a head is rotated.
 */
export function readRope(fields: Fields): RopeConfig {
  const parameters = fields.object("rope_parameters") ?? fields.object("rope_scaling");
  const theta = fields.object("rope_parameters")?.positive("rope_theta", 10000) ??
    fields.positive("rope_theta", 10000);
  for (const part of [fields, parameters]) {
    const rotated = part?.positive("partial_rotary_factor", 1) ?? 1;
    if (rotated !== 1) fields.fail("partial_rotary_factor", "1", rotated);
  }
  if (!parameters) return { theta };
  const kind = parameters.text(parameters.has("rope_type") ? "rope_type" : "type", "default");
  if (kind === "default") return { theta };
  if (kind === "linear") return { theta, scaling: { kind, factor: parameters.positive("factor") } };
  if (kind === "llama3") {
    return {
      theta,
      scaling: {
        kind,
        factor: parameters.positive("factor"),
        lowFrequencyFactor: parameters.positive("low_freq_factor"),
        highFrequencyFactor: parameters.positive("high_freq_factor"),
        originalPositions: parameters.size("original_max_position_embeddings"),
      },
    };
  }
  return parameters.fail("rope_type", "default, linear or llama3", kind);
}

/**
 * Radians per position of each rotated pair: `theta^(-2 i / headSize)`, stretched as the configuration says.
 *
 * @param rope The rotary embedding.
 * @param headSize Width of a head, even.
 * @returns `[headSize / 2]`.
 */
export function ropeFrequencies(rope: RopeConfig, headSize: number): Float64Array<ArrayBuffer> {
  if (headSize % 2 !== 0) throw new RangeError(`Cannot rotate heads of ${headSize}: the width must be even`);
  const { theta, scaling } = rope;
  const plain = Float64Array.from({ length: headSize / 2 }, (_, i) => theta ** (-2 * i / headSize));
  if (!scaling) return plain;
  if (scaling.kind === "linear") return plain.map((frequency) => frequency / scaling.factor);
  return plain.map((frequency) => stretchLlama3(frequency, scaling));
}

/** Low frequencies are divided by the factor, high ones stay, those between are interpolated. */
function stretchLlama3(frequency: number, scaling: Llama3Scaling): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions } = scaling;
  const turns = originalPositions * frequency / (2 * Math.PI);
  const keep = Math.min(1, Math.max(0, (turns - low) / (high - low)));
  return frequency * (keep + (1 - keep) / factor);
}
