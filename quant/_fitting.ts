// What the options of a fit mean once their defaults are filled in.
import type { NumberFormat } from "../formats/mod.ts";
import { type ClipRule, mseClip } from "./clip_rule.ts";
import type { FitterOptions } from "./_fitter.ts";
import { type Mapping, type MappingName, mappings } from "./mapping.ts";
import type { QparamsOptions } from "./qparams.ts";

/** Fills in what the options leave open. */
export function resolveFitting(options: Omit<QparamsOptions, "granularity">): FitterOptions {
  const { format, scaleFormat, narrowRange = false } = options;
  const levels = { min: narrowRange ? -format.max : format.min, max: format.max };
  if (!(levels.max > levels.min && levels.max > 0)) {
    throw new RangeError(
      `Cannot scale to ${format.name}: its levels run from ${levels.min} to ${levels.max}`,
    );
  }
  return { format, scaleFormat, levels, mapping: resolveMapping(options.mapping, format) };
}

function resolveMapping(mapping: MappingName | Mapping | undefined, format: NumberFormat): Mapping {
  const resolved = mapping ?? (format.min < 0 ? "absmax" : "asym");
  if (typeof resolved !== "string") return resolved;
  if (!Object.hasOwn(mappings, resolved)) {
    throw new RangeError(
      `Cannot map values by "${resolved}": the mappings are ${Object.keys(mappings).join(", ")}`,
    );
  }
  return mappings[resolved];
}

/** The clip rule of an option: `true` means the search of GPTQ and QUIK. */
export function resolveClip(clip: boolean | ClipRule | undefined): ClipRule | undefined {
  return clip === true ? mseClip() : clip || undefined;
}
