// A model on a backend: from token ids to logits, block by block.
import type { Backend, DeviceBuffer } from "../kernels/mod.ts";
import {
  addInPlace,
  applyLinear,
  createRopeTable,
  type DeviceTensor,
  gatherRows,
  KvCache,
  normalize,
  type RopeTable,
  uploadBytes,
} from "../ops/mod.ts";
import type { Decoder } from "./decoder.ts";
import type { DecoderBlock } from "./block.ts";
import type { PassContext } from "./pass_context.ts";
import type { CacheTransform } from "./cache_transform.ts";
import type { ModelConfig } from "./config.ts";
import { drain, type LinearSlot } from "./linear_slot.ts";
import { ropeFrequencies } from "./rope.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Token ids that are on the device already, such as those that `argmaxRows` chose. */
export interface DeviceTokens {
  /** uint32 `[length]`, each below the vocabulary: nothing checks them any more. */
  readonly buffer: DeviceBuffer;
  /** Number of tokens. */
  readonly length: number;
}

/** Token ids on the host, which are checked, or on the device. */
export type TokenIds = Uint32Array<ArrayBuffer> | DeviceTokens;

/** Where the tokens of a pass stand, and what came before them. */
export interface PassOptions {
  /** Keys and values of the tokens before; those of this pass are added. Without it the pass begins at position 0. */
  readonly cache?: ModelCache;
}

/** The keys and values of all layers, and how many positions of them are filled. */
export class ModelCache implements Disposable {
  /** The cache of each layer. */
  readonly layers: readonly KvCache[];
  /** Number of positions it can hold. */
  readonly capacity: number;
  /** Number of positions filled: where the next token stands. Setting it back forgets the tokens behind it. */
  length = 0;

  /** Takes memory for `capacity` positions of a model. */
  constructor(model: Model, capacity: number) {
    const { config: { layers, kvHeads, headSize }, backend } = model;
    this.capacity = capacity;
    this.layers = Array.from({ length: layers }, () => new KvCache(backend, capacity, kvHeads * headSize));
  }

  /** Frees the memory. */
  [Symbol.dispose](): void {
    for (const layer of this.layers) layer.dispose();
  }
}

/** The start of a pass: its embedded tokens, and what its blocks share. */
export interface Pass extends Disposable {
  /** `[rows, hiddenSize]`, before the first block. The first block takes it over. */
  readonly hidden: DeviceTensor;
  /** Positions and caches; freed when the pass is disposed of. */
  readonly context: PassContext;
}

/** What a model is made of. */
export interface ModelParts {
  /** Its dimensions. */
  readonly config: ModelConfig;
  /** Its weights on a backend. */
  readonly decoder: Decoder;
  /** Loads the tokenizer that came with the weights. */
  loadTokenizer(): Promise<Tokenizer>;
  /** Frees the weights. */
  dispose(): void;
}

/** A decoder-only language model on a backend. */
export class Model implements Disposable {
  /** Dimensions and choices. */
  readonly config: ModelConfig;
  /** Where it runs. The model does not own it. */
  readonly backend: Backend;
  /** The transformer blocks, in order. */
  readonly blocks: readonly DecoderBlock[];
  /** Every linear layer of the blocks by its full name; replacing what is in a slot quantizes the model. */
  readonly linears: ReadonlyMap<string, LinearSlot>;
  /** What keys and values become before they are cached: set it to evaluate a quantized cache. Default: themselves. */
  cacheTransform?: CacheTransform;
  /** What a token passes through. */
  readonly decoder: Decoder;
  readonly #rope: RopeTable | undefined;
  readonly #parts: ModelParts;
  #tokenizer: Promise<Tokenizer> | undefined;

  /** Makes a model of its parts. Use {@linkcode loadModel}. */
  constructor(backend: Backend, parts: ModelParts) {
    const { config, decoder } = parts;
    this.backend = backend;
    this.config = config;
    this.blocks = decoder.blocks;
    this.linears = new Map(decoder.blocks.flatMap((block) => block.slots.map((slot) => [slot.name, slot])));
    this.decoder = decoder;
    this.#rope = config.rope &&
      createRopeTable(backend, ropeFrequencies(config.rope, config.headSize), config.maxPositions);
    this.#parts = parts;
  }

  /**
   * Logits of every token of a text.
   *
   * @param inputIds Token ids, at most `max_position_embeddings`.
   * @returns `[tokens, vocabulary]`, row-major.
   * @throws {RangeError} If there are no tokens, too many, or an id is outside the vocabulary.
   */
  async forward(inputIds: Uint32Array<ArrayBuffer>): Promise<Float32Array<ArrayBuffer>> {
    using hidden = await this.forwardHidden(inputIds);
    using logits = await this.logits(hidden);
    return (await logits.toMatrix()).data;
  }

  /**
   * The hidden state of every token after the last block, before the final norm and the head.
   *
   * @param inputIds Token ids.
   * @param options A cache with what came before.
   * @returns `[tokens, hiddenSize]`; the caller frees it.
   * @throws {RangeError} If there are no tokens, too many, or an id is outside the vocabulary.
   */
  async forwardHidden(inputIds: TokenIds, options: PassOptions = {}): Promise<DeviceTensor> {
    using pass = await this.begin(inputIds, options);
    let { hidden } = pass;
    for (const block of this.blocks) hidden = await drain(block.forward(hidden, pass.context));
    if (options.cache) options.cache.length += inputIds.length;
    return hidden;
  }

  /**
   * Embeds tokens: what goes into the first block, for callers who drive the blocks themselves.
   *
   * @param inputIds Token ids.
   * @param options A cache with what came before; its `length` is the caller's to advance.
   * @returns The start of the pass.
   * @throws {RangeError} If there are no tokens, too many, or an id is outside the vocabulary.
   */
  async begin(inputIds: TokenIds, options: PassOptions = {}): Promise<Pass> {
    const first = options.cache?.length ?? 0;
    this.#checkInput(inputIds, first, options.cache?.capacity);
    const rows = inputIds.length;
    const positions = uploadBytes(this.backend, Uint32Array.from({ length: rows }, (_, i) => first + i));
    const hidden = await this.#embed(inputIds, positions);
    return {
      hidden,
      context: {
        rows,
        positions,
        rope: this.#rope,
        caches: options.cache?.layers,
        cacheTransform: this.cacheTransform,
      },
      [Symbol.dispose]: () => positions.dispose(),
    };
  }

  /**
   * The head: final norm and logits.
   *
   * @param hidden `[rows, hiddenSize]`, after the last block.
   * @returns `[rows, vocabulary]`; the caller frees it.
   */
  async logits(hidden: DeviceTensor): Promise<DeviceTensor> {
    const { finalNorm, projectOut, head } = this.decoder;
    using normed = finalNorm && await normalize(hidden, finalNorm);
    using projected = projectOut && await applyLinear(projectOut.linear, normed ?? hidden);
    return await applyLinear(head, projected ?? normed ?? hidden);
  }

  /**
   * The tokenizer that came with the model, loaded when first asked for.
   *
   * @returns The tokenizer.
   * @throws {Error} If the checkpoint has none.
   */
  async tokenizer(): Promise<Tokenizer> {
    return await (this.#tokenizer ??= this.#parts.loadTokenizer());
  }

  /** Frees the weights and everything else the model holds. */
  dispose(): void {
    this.#rope?.[Symbol.dispose]();
    this.#parts.dispose();
  }

  /** Frees the weights and everything else the model holds. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  async #embed(inputIds: TokenIds, positions: DeviceBuffer): Promise<DeviceTensor> {
    const { tokens, positions: table, projectIn } = this.decoder;
    using uploaded = inputIds instanceof Uint32Array ? uploadBytes(this.backend, inputIds) : undefined;
    const ids = uploaded ?? (inputIds as DeviceTokens).buffer;
    const embedded = await gatherRows(tokens, ids, inputIds.length);
    if (!projectIn && !table) return embedded;
    const hidden = projectIn ? await applyLinear(projectIn.linear, embedded) : embedded;
    if (projectIn) embedded.dispose();
    if (table) {
      using offsets = await gatherRows(table, positions, inputIds.length);
      await addInPlace(hidden, offsets);
    }
    return hidden;
  }

  #checkInput(inputIds: TokenIds, first: number, capacity?: number): void {
    const { maxPositions, vocabularySize } = this.config;
    const end = first + inputIds.length;
    if (inputIds.length === 0) throw new RangeError("Cannot run a model on no tokens");
    if (end > maxPositions) {
      throw new RangeError(`Cannot run ${end} tokens: the model has max_position_embeddings ${maxPositions}`);
    }
    if (capacity !== undefined && end > capacity) {
      throw new RangeError(`Cannot run ${end} tokens: the cache holds ${capacity}`);
    }
    const bad = inputIds instanceof Uint32Array && inputIds.find((id) => id >= vocabularySize);
    if (typeof bad === "number") {
      throw new RangeError(`Cannot run token id ${bad}: the model has a vocabulary of ${vocabularySize}`);
    }
  }
}
