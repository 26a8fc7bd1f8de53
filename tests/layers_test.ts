// The rooms and the one direction of their imports: formats <- quant <- kernels <- ops <- models, io beside models.
import { assert, assertEquals } from "@std/assert";

const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  formats: [],
  quant: ["formats"],
  kernels: ["formats", "quant"],
  ops: ["formats", "quant", "kernels"],
  io: ["formats", "quant"],
  models: ["formats", "quant", "kernels", "ops", "io"],
};

interface ModuleGraph {
  modules: {
    specifier: string;
    dependencies?: {
      specifier: string;
      isDynamic?: boolean;
      code?: { specifier?: string };
      type?: { specifier?: string };
    }[];
  }[];
}

const root = new URL("../", import.meta.url);

async function moduleGraph(entry: string): Promise<ModuleGraph> {
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", new URL(entry, root).href],
  }).output();
  assert(success, `deno info failed for ${entry}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** The first folder of a module of this repository; undefined for anything else. */
function room(specifier: string | undefined): string | undefined {
  return specifier?.startsWith(root.href) ? specifier.slice(root.href.length).split("/")[0] : undefined;
}

async function entryPoints(): Promise<string[]> {
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  return Object.values<string>(config.exports);
}

Deno.test("a room imports only rooms to its left", async () => {
  const backward: string[] = [];
  for (const entry of await entryPoints()) {
    for (const { specifier, dependencies = [] } of (await moduleGraph(entry)).modules) {
      const from = room(specifier);
      if (from === undefined || !(from in MAY_IMPORT)) continue;
      for (const { code, type } of dependencies) {
        const to = room(code?.specifier ?? type?.specifier);
        if (to !== undefined && to !== from && !MAY_IMPORT[from].includes(to)) {
          backward.push(`${specifier.slice(root.href.length)} -> ${to}`);
        }
      }
    }
  }
  assertEquals([...new Set(backward)], []);
});

Deno.test("the library rooms import no package", async () => {
  const foreign: string[] = [];
  // The tokenizer and Dawn are optional and loaded only when asked for.
  const optional = ["@huggingface/tokenizers", "webgpu", "npm:webgpu"];
  for (const entry of await entryPoints()) {
    if (entry === "./cli.ts") continue; // Commands may use packages.
    for (const { specifier, dependencies = [] } of (await moduleGraph(entry)).modules) {
      if (room(specifier) === undefined) continue;
      for (const { specifier: target } of dependencies) {
        const allowed = target.startsWith(".") || target.startsWith("node:") ||
          optional.includes(target);
        if (!allowed) foreign.push(`${specifier.slice(root.href.length)} -> ${target}`);
      }
    }
  }
  assertEquals(foreign, []);
});

Deno.test("the library rooms load without a file system, as in a browser", async () => {
  const loaded: string[] = [];
  for (const entry of await entryPoints()) {
    if (entry === "./cli.ts") continue;
    for (const { specifier, dependencies = [] } of (await moduleGraph(entry)).modules) {
      if (room(specifier) === undefined) continue;
      for (const { specifier: target, isDynamic } of dependencies) {
        if (target.startsWith("node:") && !isDynamic) {
          loaded.push(`${specifier.slice(root.href.length)} -> ${target}`);
        }
      }
    }
  }
  assertEquals(loaded, []);
});

Deno.test("every entry point says what it is for", async () => {
  for (const entry of await entryPoints()) {
    const source = await Deno.readTextFile(new URL(entry, root));
    assert(source.includes("@module"), `${entry} has no @module comment`);
  }
});
