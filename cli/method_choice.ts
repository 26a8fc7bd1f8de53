// Which methods `quik compare` runs: names of the library's, and files with methods of the user's own.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { layerwise, type ModelMethod, modelMethods } from "../models/mod.ts";
import type { LinearMethod } from "../quant/mod.ts";

/**
 * The methods to compare.
 *
 * @param names `all`, or names separated by commas.
 * @param files Modules with a method each, which come last.
 * @returns The methods.
 * @throws {RangeError} If a name is unknown or given twice.
 * @throws {TypeError} If a file does not export a method.
 */
export async function chooseMethods(names: string, files: readonly string[]): Promise<ModelMethod[]> {
  const chosen = names === "all"
    ? [...modelMethods]
    : names.split(",").map((name) => methodNamed(name.trim()));
  for (const file of files) chosen.push(layerwise(await readMethodFile(file)));
  const seen = new Set<string>();
  for (const { name } of chosen) {
    if (seen.has(name)) throw new RangeError(`Cannot compare two methods of the name ${name}`);
    seen.add(name);
  }
  return chosen;
}

function methodNamed(name: string): ModelMethod {
  const method = modelMethods.find((candidate) => candidate.name === name);
  if (!method) {
    const known = modelMethods.map((candidate) => candidate.name).join(", ");
    throw new RangeError(`Cannot find a method named ${JSON.stringify(name)}: there are ${known}`);
  }
  return method;
}

async function readMethodFile(file: string): Promise<LinearMethod> {
  let module: { readonly default?: unknown; readonly method?: unknown };
  try {
    module = await import(pathToFileURL(resolve(file)).href);
  } catch (error) {
    throw new TypeError(`Cannot load ${file}: ${(error as Error).message}`, { cause: error });
  }
  const method = (module.default ?? module.method ?? {}) as Partial<LinearMethod>;
  const { name, quantize } = method;
  if (typeof name !== "string" || name === "" || typeof quantize !== "function") {
    throw new TypeError(
      `Cannot use ${file} as a method: its default export, or \`method\`, must be an object with a name and quantize()`,
    );
  }
  return method as LinearMethod;
}
