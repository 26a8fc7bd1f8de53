// Any number format as a grid for GPTQ and the other rounding algorithms.
import type { Grid } from "./grid.ts";
import { createFitter, paramsOf, toLevels, valueOf } from "./_fitter.ts";
import { resolveClip, resolveFitting } from "./_fitting.ts";
import type { QparamsOptions } from "./qparams.ts";

/** Options of {@linkcode formatGrid}: those of `chooseQparams`, without the granularity, which the algorithm decides. */
export type FormatGridOptions = Omit<QparamsOptions, "granularity">;

/**
 * Makes any number format a grid that `gptq` and the other rounding algorithms take, with the same mappings, clip rules
 * and scale formats as {@linkcode chooseQparams}.
 *
 * @param options Format, mapping, clip rule, scale format.
 * @returns The grid.
 * @throws {RangeError} If the format has more than 8 bits, or the mapping gives offsets.
 *
 * @example NF4 with clip search
 * ```ts
 * import { formatGrid, mseClip } from "@quik/quant/quant";
 * import { nf4 } from "@quik/quant/formats";
 * import { assertEquals } from "@std/assert";
 *
 * const fitted = formatGrid({ format: nf4, clip: mseClip() }).fit(Float32Array.of(0.5, -1, 0, 0.25));
 * assertEquals(fitted.decode(fitted.encode(0)), 0);
 * ```
 */
export function formatGrid(options: FormatGridOptions): Grid {
  const { format } = options;
  const clip = resolveClip(options.clip);
  if (format.bits > 8) throw new RangeError(`Cannot make a grid of ${format.name}: it has more than 8 bits`);
  const fitting = resolveFitting(options);
  if (fitting.mapping.offset !== undefined) {
    throw new RangeError(`Cannot make a grid with the mapping ${fitting.mapping.name}: a grid has no offset`);
  }
  const fitter = createFitter(fitting);
  const zeroBits = fitting.mapping.name.startsWith("asym") ? format.bits : 0;
  return {
    name: format.name,
    bits: format.bits,
    groupBits: (options.scaleFormat?.bits ?? 32) + zeroBits,
    fit(values, importance) {
      const place = { index: 0, row: 0, col: 0, rows: 1, cols: values.length };
      fitter.load(Float32Array.from(values), place, importance);
      const params = paramsOf(clip === undefined ? fitter.fullRange : clip.range(fitter), fitting);
      const value = new Float32Array(1);
      const level = new Float32Array(1);
      return {
        scale: params.scale,
        zero: params.zeroPoint,
        encode(x) {
          value[0] = x;
          toLevels(value, params, fitting.levels, level);
          return format.encode(level[0]);
        },
        decode: (code) => valueOf(format.decode(code), params),
      };
    },
  };
}
