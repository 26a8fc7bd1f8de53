// A place in a model where a linear layer sits, so that quantization can put another one there.
import { applyLinears, type DeviceTensor, type Linear } from "../ops/mod.ts";

/** A named linear layer that can be replaced. It owns the layer. */
export class LinearSlot implements Disposable {
  /** Full module name, such as `model.layers.0.mlp.down_proj`. Parts of a fused projection have a suffix. */
  readonly name: string;
  /** Tensors of the original checkpoint that the layer came from: its weight and bias. */
  readonly sources: readonly string[];
  #linear: Linear;

  /** Puts a layer into a new slot. */
  constructor(name: string, linear: Linear, sources: readonly string[]) {
    this.name = name;
    this.sources = sources;
    this.#linear = linear;
  }

  /** The layer in the slot. */
  get linear(): Linear {
    return this.#linear;
  }

  /**
   * Puts another layer into the slot and frees the old one.
   *
   * @param linear The new layer, of the same shape.
   * @throws {RangeError} If the shapes differ.
   */
  replace(linear: Linear): void {
    this.exchange(linear)[Symbol.dispose]();
  }

  /**
   * Puts another layer into the slot and hands out the old one, which is then the caller's to free or to put back.
   *
   * @param linear The new layer, of the same shape.
   * @returns The old layer.
   * @throws {RangeError} If the shapes differ.
   */
  exchange(linear: Linear): Linear {
    const old = this.#linear;
    if (linear.inputs !== old.inputs || linear.outputs !== old.outputs) {
      throw new RangeError(
        `Cannot replace ${this.name} of shape [${old.outputs}, ${old.inputs}] by one of [${linear.outputs}, ${linear.inputs}]`,
      );
    }
    this.#linear = linear;
    return old;
  }

  /** Frees the layer. */
  [Symbol.dispose](): void {
    this.#linear[Symbol.dispose]();
  }
}

/** A pause of a forward before linear layers that read the same input. */
export interface LinearStage {
  /** The layers about to be applied; replacing one now is seen when the forward goes on. */
  readonly slots: readonly LinearSlot[];
  /** Their input `[rows, inputs]`; it belongs to the forward and is freed when that goes on. */
  readonly input: DeviceTensor;
}

/**
 * A forward that pauses before every group of linear layers. Calibration looks at the input and replaces the layers;
 * going on applies whatever then sits in the slots. It returns the output.
 */
export type StagedForward<Output = DeviceTensor> = AsyncGenerator<LinearStage, Output, void>;

/** Pauses, then applies the layers of the slots to one shared input. */
export async function* applyStage(
  slots: readonly LinearSlot[],
  input: DeviceTensor,
): StagedForward<DeviceTensor[]> {
  yield { slots, input };
  return await applyLinears(slots.map((slot) => slot.linear), input);
}

/**
 * Runs a staged forward to its end without looking at the stages.
 *
 * @param forward The forward.
 * @returns Its output.
 */
export async function drain<Output>(forward: StagedForward<Output>): Promise<Output> {
  while (true) {
    const step = await forward.next();
    if (step.done) return step.value;
  }
}
