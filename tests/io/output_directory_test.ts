// Directories that appear whole or not at all.
import { assertEquals, assertRejects } from "@std/assert";
import { requireEmptyDirectory, writeDirectory, writeSmallFile } from "../../io/mod.ts";
import { withFolder } from "./_folder.ts";

const namesIn = (path: string) => Array.from(Deno.readDirSync(path), (entry) => entry.name);

Deno.test("writeDirectory() fills a new and an empty directory", () =>
  withFolder(async (path) => {
    await Deno.mkdir(`${path}/empty`);
    for (const name of ["new", "empty"]) {
      await writeDirectory(`${path}/${name}/`, (temporary) => writeSmallFile(`${temporary}/a.txt`, "grüße"));
      assertEquals(await Deno.readTextFile(`${path}/${name}/a.txt`), "grüße");
    }
    assertEquals(namesIn(path).sort(), ["empty", "new"]);
  }));

Deno.test("writeDirectory() leaves nothing behind when filling fails", () =>
  withFolder(async (path) => {
    const fill = async (temporary: string) => {
      await writeSmallFile(`${temporary}/a.txt`, "half");
      throw new Error("no more");
    };
    await assertRejects(() => writeDirectory(`${path}/new`, fill), Error, "no more");
    assertEquals(namesIn(path), []);
  }));

Deno.test("writeDirectory() does not touch what exists", () =>
  withFolder(async (path) => {
    await Deno.writeTextFile(`${path}/file`, "mine");
    let called = false;
    const fill = () => {
      called = true;
      return Promise.resolve();
    };
    await assertRejects(() => writeDirectory(path, fill), RangeError, "it exists and is not empty");
    await assertRejects(() => writeDirectory(`${path}/file`, fill), RangeError, "it is not a directory");
    await assertRejects(() => requireEmptyDirectory(path), RangeError, "it exists and is not empty");
    assertEquals(called, false);
    assertEquals(await Deno.readTextFile(`${path}/file`), "mine");
  }));
