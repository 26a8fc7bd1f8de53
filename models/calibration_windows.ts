// Cutting a calibration text into windows.

/** Options of {@linkcode calibrationWindows}. */
export interface CalibrationWindowOptions {
  /** Tokens of a window. Default 512. */
  readonly window?: number;
  /** Number of windows. Default 128. A text too short for so many gives as many as fit side by side. */
  readonly windows?: number;
}

/**
 * Windows spread evenly over a text, without overlap: the same text gives the same windows.
 *
 * @param ids Token ids of the text.
 * @param options Length and number of the windows.
 * @returns The windows, copies.
 * @throws {RangeError} If the text is shorter than one window.
 *
 * @example Usage
 * ```ts
 * import { calibrationWindows } from "@quik/quant/models";
 * import { assertEquals } from "@std/assert";
 *
 * const ids = Uint32Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8);
 * assertEquals(calibrationWindows(ids, { window: 2, windows: 2 }), [Uint32Array.of(0, 1), Uint32Array.of(4, 5)]);
 * ```
 */
export function calibrationWindows(
  ids: Uint32Array<ArrayBuffer>,
  options: CalibrationWindowOptions = {},
): Uint32Array<ArrayBuffer>[] {
  const { window = 512, windows = 128 } = options;
  const fitting = Math.floor(ids.length / window);
  if (fitting < 1) {
    throw new RangeError(`Cannot calibrate on ${ids.length} tokens: one window takes ${window}`);
  }
  const count = Math.min(windows, fitting);
  const stride = Math.floor(ids.length / count);
  return Array.from({ length: count }, (_, i) => ids.slice(i * stride, i * stride + window));
}
