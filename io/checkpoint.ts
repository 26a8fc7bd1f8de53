// A checkpoint folder in the Hugging Face layout: one `model.safetensors`, or shards named by an index.
import { parseStrictJson } from "./_strict_json.ts";
import { type FileSet, readText } from "./byte_source.ts";
import { openSafetensors } from "./safetensors_reader.ts";
import { tensorInfo, type TensorReader } from "./tensor.ts";

const SINGLE_FILE = "model.safetensors";
const INDEX_FILE = "model.safetensors.index.json";

/**
 * Opens the tensors of a checkpoint folder: `model.safetensors` if it exists, else the shards that
 * `model.safetensors.index.json` names, as one reader.
 *
 * @param files The folder, such as `openDirectory(path)`.
 * @returns The reader.
 * @throws {Error} If the folder has neither file or a shard is missing.
 * @throws {SyntaxError} If a file is malformed or index and shards disagree.
 */
export async function openCheckpoint(files: FileSet): Promise<TensorReader> {
  if (await files.has(SINGLE_FILE)) return await openSafetensors(await files.open(SINGLE_FILE));
  if (await files.has(INDEX_FILE)) return await openShards(files);
  throw new Error(`Cannot open ${files.name} as a checkpoint: it has no ${SINGLE_FILE} and no ${INDEX_FILE}`);
}

async function openShards(files: FileSet): Promise<TensorReader> {
  const weightMap = await readWeightMap(files);
  const shards = new Map<string, TensorReader>();
  const close = async () => {
    for (const shard of shards.values()) await shard.close();
  };
  try {
    for (const fileName of new Set(weightMap.values())) {
      shards.set(fileName, await openSafetensors(await files.open(fileName)));
    }
    checkShards(weightMap, shards);
  } catch (error) {
    await close();
    throw error;
  }
  const all = [...shards.values()];
  const shardOf = (name: string) => {
    tensorInfo(reader, name);
    return shards.get(weightMap.get(name)!)!;
  };
  const reader: TensorReader = {
    name: files.name,
    metadata: new Map(all.flatMap((shard) => [...shard.metadata])),
    tensors: new Map(all.flatMap((shard) => [...shard.tensors])),
    readBytes: async (name) => await shardOf(name).readBytes(name),
    readFloat32: async (name) => await shardOf(name).readFloat32(name),
    close,
    [Symbol.asyncDispose]: close,
  };
  return reader;
}

async function readWeightMap(files: FileSet): Promise<Map<string, string>> {
  await using source = await files.open(INDEX_FILE);
  const root = parseIndex(await readText(source), source.name);
  const weightMap = root instanceof Map ? root.get("weight_map") : undefined;
  if (!(weightMap instanceof Map)) throw new SyntaxError(`Cannot read ${source.name}: it has no weight_map`);
  for (const [name, fileName] of weightMap) {
    if (typeof fileName !== "string" || !/^[\w.-]+\.safetensors$/.test(fileName)) {
      throw new SyntaxError(
        `Cannot read ${source.name}: tensor ${name} lies in ${
          JSON.stringify(fileName)
        }, not a plain file name`,
      );
    }
  }
  return weightMap as Map<string, string>;
}

function parseIndex(text: string, name: string): ReturnType<typeof parseStrictJson> {
  try {
    return parseStrictJson(text);
  } catch (error) {
    throw new SyntaxError(`Cannot read ${name} as JSON: ${(error as Error).message}`, { cause: error });
  }
}

/** Index and shards must agree both ways, and no tensor may lie in two shards. */
function checkShards(weightMap: Map<string, string>, shards: Map<string, TensorReader>): void {
  for (const [name, fileName] of weightMap) {
    if (!shards.get(fileName)!.tensors.has(name)) {
      throw new SyntaxError(
        `Cannot open the checkpoint: ${fileName} does not have tensor ${name} of the index`,
      );
    }
  }
  for (const [fileName, shard] of shards) {
    for (const name of shard.tensors.keys()) {
      const mapped = weightMap.get(name);
      if (mapped === fileName) continue;
      const problem = mapped === undefined ? "the index lacks" : `the index places in ${mapped}`;
      throw new SyntaxError(`Cannot open the checkpoint: ${fileName} has tensor ${name}, which ${problem}`);
    }
  }
}
