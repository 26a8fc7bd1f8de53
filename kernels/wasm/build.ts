// Compiles the kernels of `assembly/` with AssemblyScript and writes their bytes into `_bytes.ts`:
// `deno task build:wasm`. A test calls `buildBytes` and compares.
import asc from "assemblyscript/asc";

const FEATURES = { plain: "simd,threads,bulk-memory", relaxed: "simd,threads,bulk-memory,relaxed-simd" };

/** Compiles one variant. */
async function compile(features: string): Promise<Uint8Array<ArrayBuffer>> {
  let binary: Uint8Array<ArrayBuffer> | undefined;
  const messages: string[] = [];
  const write = (text: string | Uint8Array) => {
    messages.push(typeof text === "string" ? text : new TextDecoder().decode(text));
    return true;
  };
  const { error } = await asc.main([
    "index.ts",
    "--outFile=kernels.wasm",
    "-O3",
    "--noAssert",
    "--runtime=stub",
    "--use=abort=",
    "--importMemory",
    "--sharedMemory",
    "--initialMemory=2",
    "--memoryBase=4096",
    "--maximumMemory=65536",
    `--enable=${features}`,
  ], {
    stderr: { write },
    readFile: (name: string) =>
      Deno.readTextFile(new URL(`./assembly/${name}`, import.meta.url)).catch(() => null),
    writeFile: (_name: string, contents: string | Uint8Array) => {
      if (contents instanceof Uint8Array) binary = Uint8Array.from(contents);
    },
    listFiles: () => [],
  });
  if (error || !binary) throw new Error(`Cannot compile the kernels: ${messages.join("")}`);
  return binary;
}

function literal(bytes: Uint8Array<ArrayBuffer>): string {
  const lines = bytes.toBase64().match(/.{1,160}/g) ?? [];
  return `\`\n${lines.join("\n")}\n\``;
}

/** The text of `_bytes.ts`. */
export async function buildBytes(): Promise<string> {
  const plain = literal(await compile(FEATURES.plain));
  const relaxed = literal(await compile(FEATURES.relaxed));
  return `// Made by \`deno task build:wasm\` from \`assembly/\`; do not edit.

/** The kernels for engines with fixed-width SIMD only, base64. */
export const PLAIN: string = ${plain};

/** The kernels for engines with relaxed SIMD, base64. */
export const RELAXED: string = ${relaxed};
`;
}

if (import.meta.main) {
  await Deno.writeTextFile(new URL("./_bytes.ts", import.meta.url), await buildBytes());
}
