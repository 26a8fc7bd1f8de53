// The `quik` command in a process of its own, as a user runs it.
import { join } from "@std/path";
import { fileURLToPath } from "node:url";

/** The repository. */
export const ROOT = fileURLToPath(new URL("../", import.meta.url));
/** The demo model. */
export const DEMO = join(ROOT, "examples/demo_model");
/** Text that the demo model was not trained on. */
export const VALID = join(DEMO, "valid.txt");

/** Runs `quik` with arguments. */
export async function quik(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const output = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      "--quiet",
      "--config",
      join(ROOT, "deno.json"),
      join(ROOT, "cli.ts"),
      ...args,
    ],
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: output.code, stdout: text(output.stdout), stderr: text(output.stderr) };
}
