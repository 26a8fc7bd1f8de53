// What the commands have in common: the backend option, number arguments, files, and errors of one line.
import process from "node:process";
import { tmpdir } from "node:os";
import { readFile } from "node:fs/promises";
import { InvalidArgumentError, Option } from "commander";
import { type Backend, BACKEND_CHOICES, type BackendChoice, chooseBackend } from "../kernels/mod.ts";

/** `--backend`. */
export function backendOption(): Option {
  return new Option("--backend <name>", "where to compute").choices([...BACKEND_CHOICES]).default("auto");
}

/** `--json`. */
export function jsonOption(): Option {
  return new Option("--json", "print one JSON value on standard output, for machines").default(false);
}

/** Says something to a person, on standard error. */
export function say(line: string): void {
  console.error(line);
}

/** Takes the backend that was asked for and says which it is and why. */
export async function takeBackend(choice: BackendChoice, options: { quiet: boolean }): Promise<Backend> {
  // Without it, Vulkan drivers complain on standard error of every machine that has no desktop.
  process.env.XDG_RUNTIME_DIR ??= tmpdir();
  const { backend, reason } = await chooseBackend(choice);
  if (!options.quiet) say(`Backend: ${reason}`);
  return backend;
}

/** Parses a count. */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("It must be a positive integer.");
  return value;
}

/** Parses a count that may be zero. */
export function nonNegativeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) {
    throw new InvalidArgumentError("It must be a non-negative integer.");
  }
  return value;
}

/** Parses a number that is not negative. */
export function nonNegativeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value < Infinity)) {
    throw new InvalidArgumentError("It must be a number of at least 0.");
  }
  return value;
}

/** Reads a text file, or says plainly that it cannot. */
export async function readTextFile(path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${(error as { code?: string }).code ?? (error as Error).message}`);
  }
  if (text.trim() === "") throw new RangeError(`Cannot use ${path}: the text is empty`);
  return text;
}

/** A signal that aborts at the first interrupt; a second one ends the process at once. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort(new Error("Interrupted")));
  return controller.signal;
}
