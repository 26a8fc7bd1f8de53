// Checkpoint folders: single files, shards and indexes that lie about them.
import { assertEquals, assertRejects } from "@std/assert";
import { encodeSafetensors, memoryFiles, openCheckpoint } from "../../io/mod.ts";

const shard = (names: string[]) =>
  encodeSafetensors(
    names.map((name) => ({ name, type: "F32", shape: [1], data: Float32Array.of(name.length) })),
  );

const text = (value: unknown) =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));

const ONE = "model-00001-of-00002.safetensors";
const TWO = "model-00002-of-00002.safetensors";
const INDEX = "model.safetensors.index.json";

Deno.test("openCheckpoint() reads a single file", async () => {
  await using reader = await openCheckpoint(memoryFiles({ "model.safetensors": await shard(["a"]) }));
  assertEquals(await reader.readFloat32("a"), Float32Array.of(1));
});

Deno.test("openCheckpoint() joins the shards of an index", async () => {
  await using reader = await openCheckpoint(memoryFiles({
    [INDEX]: text({ metadata: { total_size: 12 }, weight_map: { a: ONE, bb: TWO, ccc: ONE } }),
    [ONE]: await shard(["a", "ccc"]),
    [TWO]: await shard(["bb"]),
  }));
  assertEquals([...reader.tensors.keys()].sort(), ["a", "bb", "ccc"]);
  assertEquals(await reader.readFloat32("bb"), Float32Array.of(2));
  assertEquals(await reader.readFloat32("ccc"), Float32Array.of(3));
  await assertRejects(() => reader.readBytes("d"), RangeError, "Cannot read tensor d");
});

const LYING: [about: string, weightMap: unknown, one: string[], two: string[], problem: string][] = [
  ["no weight map", undefined, ["a"], ["b"], "it has no weight_map"],
  ["a weight map that is no object", [], ["a"], ["b"], "it has no weight_map"],
  ["a path out of the folder", { a: "../a.safetensors" }, ["a"], ["b"], "not a plain file name"],
  ["an absolute path", { a: "/a.safetensors" }, ["a"], ["b"], "not a plain file name"],
  ["a missing shard", { a: "other.safetensors" }, ["a"], ["b"], "other.safetensors: no such file"],
  ["a tensor that its shard lacks", { a: ONE, c: ONE }, ["a"], ["b"], `${ONE} does not have tensor c`],
  ["a tensor that the index lacks", { a: ONE, b: TWO }, ["a", "c"], ["b"], "which the index lacks"],
  ["a tensor in two shards", { a: ONE, b: TWO }, ["a", "b"], ["b"], `which the index places in ${TWO}`],
];

for (const [about, weightMap, one, two, problem] of LYING) {
  Deno.test(`openCheckpoint() rejects ${about}`, async () => {
    const files = memoryFiles({
      [INDEX]: text({ weight_map: weightMap }),
      [ONE]: await shard(one),
      [TWO]: await shard(two),
    });
    await assertRejects(() => openCheckpoint(files), Error, problem);
  });
}

Deno.test("openCheckpoint() rejects repeated names in an index and a folder without tensors", async () => {
  const index = text(`{"weight_map":{"a":"${ONE}","a":"${TWO}"}}`);
  await assertRejects(
    () => openCheckpoint(memoryFiles({ [INDEX]: index })),
    SyntaxError,
    'duplicate key "a"',
  );
  await assertRejects(
    () => openCheckpoint(memoryFiles({}, { name: "empty" })),
    Error,
    "Cannot open empty as a checkpoint",
  );
});
