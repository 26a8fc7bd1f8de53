// Methods refuse weights that are NaN or infinite: a grid would give them some code, and nobody would notice.
import type { LinearLayer } from "./method.ts";

/**
 * Throws unless every weight of a layer is finite.
 *
 * @throws {RangeError} Naming the layer and the first weight that is not.
 */
export function requireFinite({ name, weight: { data, cols } }: LinearLayer): void {
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return;
  throw new RangeError(
    `Cannot quantize ${name}: its weight [${Math.floor(bad / cols)}, ${bad % cols}] is ${data[bad]}`,
  );
}
