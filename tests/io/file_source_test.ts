// Files on disk: ranges, missing files, and writes that appear whole or not at all.
import { assertEquals, assertRejects } from "@std/assert";
import { openDirectory, openFileSource, openSafetensors, readText, writeSafetensors } from "../../io/mod.ts";
import { withFolder } from "./_folder.ts";

const tensor = (name: string, value: number) => ({
  name,
  type: "F32" as const,
  shape: [2],
  data: () => Float32Array.of(value, value + 1),
});

Deno.test("writeSafetensors() replaces a file and leaves no other", () =>
  withFolder(async (path) => {
    await writeSafetensors(`${path}/m.safetensors`, [tensor("old", 1)]);
    await writeSafetensors(`${path}/m.safetensors`, [tensor("b", 3), tensor("a", 1)]);
    await using reader = await openSafetensors(await openFileSource(`${path}/m.safetensors`));
    assertEquals([...reader.tensors.keys()], ["a", "b"]);
    assertEquals(await reader.readFloat32("b"), Float32Array.of(3, 4));
    assertEquals(Array.from(Deno.readDirSync(path), (file) => file.name), ["m.safetensors"]);
  }));

Deno.test("writeSafetensors() leaves the old file alone when producing data fails", () =>
  withFolder(async (path) => {
    await writeSafetensors(`${path}/m.safetensors`, [tensor("old", 1)]);
    const failing = { ...tensor("b", 1), data: () => Promise.reject(new Error("no data")) };
    await assertRejects(
      () => writeSafetensors(`${path}/m.safetensors`, [tensor("a", 1), failing]),
      Error,
      "no data",
    );
    assertEquals(Array.from(Deno.readDirSync(path), (file) => file.name), ["m.safetensors"]);
    await using reader = await openSafetensors(await openFileSource(`${path}/m.safetensors`));
    assertEquals([...reader.tensors.keys()], ["old"]);
  }));

Deno.test("openFileSource() reads exact ranges and refuses others", () =>
  withFolder(async (path) => {
    Deno.writeTextFileSync(`${path}/t.txt`, "0123456789");
    await using source = await openFileSource(`${path}/t.txt`);
    assertEquals(new TextDecoder().decode(await source.read(3, 4)), "3456");
    assertEquals(await readText(source), "0123456789");
    for (const [offset, length] of [[8, 3], [-1, 1], [0, -1], [0.5, 1], [11, 0], [0, 2 ** 60]]) {
      await assertRejects(() => source.read(offset, length), RangeError, "it holds 10 bytes");
    }
    await assertRejects(() => readText(source, { maxBytes: 9 }), RangeError, "10 bytes exceed 9");
    await source.close();
  }));

Deno.test("openFileSource() names what cannot be opened", () =>
  withFolder(async (path) => {
    await assertRejects(
      () => openFileSource(`${path}/absent`),
      Error,
      `Cannot open ${path}/absent: no such file`,
    );
    await assertRejects(() => openFileSource(path), Error, "it is not a file");
    assertEquals(await openDirectory(path).has("absent"), false);
    assertEquals(await openDirectory(path).has("."), false);
  }));
