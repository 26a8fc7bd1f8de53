// What the blocks of one pass through a model share.
import type { DeviceBuffer } from "../kernels/mod.ts";
import type { KvCache, RopeTable } from "../ops/mod.ts";
import type { CacheTransform } from "./cache_transform.ts";

/** What the blocks of one pass share: which positions its rows stand at, and what came before them. */
export interface PassContext {
  /** Number of tokens. */
  readonly rows: number;
  /** uint32 `[rows]`, ascending. */
  readonly positions: DeviceBuffer;
  /** Rotary angles, where the architecture rotates. */
  readonly rope?: RopeTable;
  /** The cache of each layer; without it a pass sees only its own tokens, which then begin at position 0. */
  readonly caches?: readonly KvCache[];
  /** What keys and values become before they are cached. Default: themselves. */
  readonly cacheTransform?: CacheTransform;
}
