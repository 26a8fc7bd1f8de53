/**
 * The `quik` command: quantize, evaluate, run, compare and inspect checkpoints.
 *
 * ```sh
 * deno run -A jsr:@quik/quant/cli --help
 * ```
 *
 * @module
 */
import process from "node:process";
import { Command } from "commander";
import { compareCommand } from "./cli/compare.ts";
import { evalCommand } from "./cli/eval.ts";
import { generateCommand } from "./cli/generate.ts";
import { inspectCommand } from "./cli/inspect.ts";
import { quantizeCommand } from "./cli/quantize.ts";

/**
 * Runs the command line.
 *
 * @param args Arguments, without the program's name.
 * @returns The exit code: 0, or 1 after one line on standard error.
 */
export async function main(args: readonly string[]): Promise<number> {
  const program = new Command("quik")
    .description("Quantize language models to 4 bits, weights and activations, and run them")
    .showHelpAfterError("(see --help)")
    .exitOverride();
  const commands = [quantizeCommand(), evalCommand(), generateCommand(), compareCommand(), inspectCommand()];
  for (const command of commands) program.addCommand(command.exitOverride().copyInheritedSettings(program));
  try {
    await program.parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    return report(error as Error & { code?: string; exitCode?: number });
  }
}

/** Help and version are no failures; commander has printed its own errors already. */
function report(error: Error & { code?: string; exitCode?: number }): number {
  if (error.code?.startsWith("commander.")) return error.exitCode === 0 ? 0 : 1;
  console.error(`error: ${error.message.split("\n")[0]}`);
  return 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
