// One block run on windows of hidden states that are kept on the host, to be run again with other layers.
import type { Backend } from "../kernels/mod.ts";
import { DeviceTensor } from "../ops/mod.ts";
import { createMatrix, type Matrix } from "../quant/mod.ts";
import type { DecoderBlock } from "./block.ts";
import type { PassContext } from "./pass_context.ts";
import type { LinearSlot } from "./linear_slot.ts";

/** A window before a block. */
export interface BlockWindow {
  /** Hidden states `[tokens, hiddenSize]`. */
  readonly hidden: Matrix;
  /** Where the tokens stand. */
  readonly context: PassContext;
}

/** What a block does to windows. */
export interface BlockRun {
  /** Hidden states behind it, of each window. */
  readonly outputs: readonly Matrix[];
  /** Inputs of its linear layers, all windows joined; empty unless asked for. */
  readonly inputs: ReadonlyMap<LinearSlot, Matrix>;
}

/** Runs a block on each window. */
export async function runBlock(
  block: DecoderBlock,
  windows: readonly BlockWindow[],
  options: { readonly backend: Backend; readonly keepInputs?: boolean },
): Promise<BlockRun> {
  const { backend, keepInputs = false } = options;
  const outputs: Matrix[] = [], seen = new Map<LinearSlot, Matrix[]>();
  for (const { hidden, context } of windows) {
    const forward = block.forward(DeviceTensor.fromMatrix(backend, hidden), context);
    for (let step = await forward.next();; step = await forward.next()) {
      if (step.done) {
        using output = step.value;
        outputs.push(await output.toMatrix());
        break;
      }
      if (!keepInputs) continue;
      const { slots, input } = step.value, matrix = await input.toMatrix();
      for (const slot of slots) seen.set(slot, [...seen.get(slot) ?? [], matrix]);
    }
  }
  return { outputs, inputs: new Map([...seen].map(([slot, parts]) => [slot, joined(parts)])) };
}

function joined(parts: readonly Matrix[]): Matrix {
  const { cols } = parts[0], result = createMatrix(parts.reduce((sum, { rows }) => sum + rows, 0), cols);
  let offset = 0;
  for (const { data } of parts) {
    result.data.set(data, offset);
    offset += data.length;
  }
  return result;
}
