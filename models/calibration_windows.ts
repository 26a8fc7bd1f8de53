// Cutting a calibration text into windows.
import { createRandom } from "../quant/mod.ts";

/** Options of {@linkcode calibrationWindows}. */
export interface CalibrationWindowOptions {
  /** Tokens of a window. Default 512. */
  readonly window?: number;
  /** Number of windows. Default 128. */
  readonly windows?: number;
  /** Seed of the random crops. Default 0. */
  readonly seed?: number;
}

/**
 * Random crops of a text, as GPTQ and QUIK calibrate on. Crops may overlap; equal seeds give equal crops.
 *
 * @param ids Token ids of the text.
 * @param options Length, number and seed of the windows.
 * @returns The windows, copies.
 * @throws {RangeError} If the text is shorter than one window.
 *
 * @example Usage
 * ```ts
 * import { calibrationWindows } from "@quik/quant/models";
 * import { assertEquals } from "@std/assert";
 *
 * const ids = Uint32Array.from({ length: 1000 }, (_, i) => i);
 * const windows = calibrationWindows(ids, { window: 16, windows: 3 });
 * assertEquals(windows.length, 3);
 * assertEquals(windows[0][15] - windows[0][0], 15);
 * assertEquals(calibrationWindows(ids, { window: 16, windows: 3 }), windows);
 * ```
 */
export function calibrationWindows(
  ids: Uint32Array<ArrayBuffer>,
  options: CalibrationWindowOptions = {},
): Uint32Array<ArrayBuffer>[] {
  const { window = 512, windows = 128, seed = 0 } = options;
  if (ids.length < window) {
    throw new RangeError(`Cannot calibrate on ${ids.length} tokens: one window takes ${window}`);
  }
  const random = createRandom(seed);
  return Array.from({ length: windows }, () => {
    const start = random.integer(ids.length - window + 1);
    return ids.slice(start, start + window);
  });
}
