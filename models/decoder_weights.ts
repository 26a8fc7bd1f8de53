// A model taken apart into weights by role, to be changed and put together again by rewriteModel().
import { DenseLinear, type Linear, type NormWeights } from "../ops/mod.ts";
import type { BlockWeights, DecoderWeights, LinearParameters, NormParameters } from "../quant/mod.ts";
import type { DecoderBlock } from "./block.ts";
import type { LinearSlot } from "./linear_slot.ts";
import type { Model } from "./model.ts";

/**
 * Copies a model's weights to the host, by role.
 *
 * @param model A model with dense layers.
 * @returns Its weights in float32.
 * @throws {TypeError} If a layer is quantized.
 */
export async function decoderWeights(model: Model): Promise<DecoderWeights> {
  const { tokens, positions, projectIn, projectOut, blocks, finalNorm, head } = model.decoder;
  const tables = positions ? [tokens, positions] : [tokens];
  return {
    embeddings: await inOrder(tables, async (table) => (await new DenseLinear(table).toHost()).weight),
    ...(projectIn ? { projectIn: await readLinear(projectIn.linear, projectIn.name) } : {}),
    blocks: await inOrder(blocks, blockWeights),
    ...(finalNorm ? { finalNorm: await readNorm(finalNorm) } : {}),
    ...(projectOut ? { projectOut: await readLinear(projectOut.linear, projectOut.name) } : {}),
    head: await readLinear(head, "the head"),
  };
}

async function blockWeights({ parts }: DecoderBlock): Promise<BlockWeights> {
  const { attention, attentionNorm, feedForward, feedForwardNorm } = parts;
  const read = ({ linear, name }: LinearSlot): Promise<LinearParameters> => readLinear(linear, name);
  const { queryNorm, keyNorm } = attention;
  const [query, key, value] = await inOrder(attention.inputs, read);
  return {
    attentionNorm: await readNorm(attentionNorm),
    query,
    key,
    value,
    ...(queryNorm ? { queryNorm: await readNorm(queryNorm) } : {}),
    ...(keyNorm ? { keyNorm: await readNorm(keyNorm) } : {}),
    output: await read(attention.output),
    feedForwardNorm: await readNorm(feedForwardNorm),
    up: await inOrder(feedForward.inputs, read),
    down: await read(feedForward.output),
  };
}

async function inOrder<In, Out>(items: readonly In[], read: (item: In) => Promise<Out>): Promise<Out[]> {
  const results: Out[] = [];
  for (const item of items) results.push(await read(item));
  return results;
}

async function readNorm({ weight, bias }: NormWeights): Promise<NormParameters> {
  return {
    weight: (await weight.toMatrix()).data,
    ...(bias ? { bias: (await bias.toMatrix()).data } : {}),
  };
}

async function readLinear(linear: Linear, name: string): Promise<LinearParameters> {
  if (linear instanceof DenseLinear) return await linear.toHost();
  throw new TypeError(`Cannot rewrite ${name}: it is quantized already`);
}
