// `quik inspect`: what a checkpoint holds, without loading its tensors.
import { Command } from "commander";
import { openCheckpoint, openDirectory, readText } from "../io/mod.ts";
import { formatBytes, formatTable } from "./table.ts";
import { jsonOption } from "./options.ts";

interface InspectOptions {
  tensors: boolean;
  json: boolean;
}

/** The command. */
export function inspectCommand(): Command {
  return new Command("inspect")
    .description("What a checkpoint holds: architecture, quantization, tensors")
    .argument("<model>", "directory of a checkpoint")
    .option("--tensors", "list every tensor", false)
    .addOption(jsonOption())
    .action(run);
}

async function run(directory: string, options: InspectOptions): Promise<void> {
  const files = openDirectory(directory);
  await using source = await files.open("config.json");
  const config = JSON.parse(await readText(source));
  await using reader = await openCheckpoint(files);
  const tensors = [...reader.tensors.values()];
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
  const types = [...Map.groupBy(tensors, (tensor) => tensor.type)].map(([type, group]) => ({
    type,
    tensors: group.length,
    bytes: group.reduce((sum, tensor) => sum + tensor.byteLength, 0),
  }));
  const { quantization_config: quantization } = config;
  if (options.json) {
    console.log(JSON.stringify({ modelType: config.model_type, bytes, types, quantization, tensors }));
    return;
  }
  console.log(`${directory}: ${config.model_type}, ${tensors.length} tensors, ${formatBytes(bytes)}`);
  if (quantization) {
    const modules = Object.values<{ bits: number }>(quantization.modules ?? {});
    const counts = [...Map.groupBy(modules, (module) => module.bits)].map(([bits, group]) =>
      `${group.length} in ${bits} bits`
    );
    console.log(
      `Quantized with ${quantization.quant_method}: ${modules.length} layers, ${counts.join(", ")}`,
    );
  }
  console.log(formatTable(
    [["type", "left"], ["tensors", "right"], ["size", "right"]],
    types.map((row) => [row.type, String(row.tensors), formatBytes(row.bytes)]),
  ));
  if (options.tensors) {
    console.log(formatTable(
      [["tensor", "left"], ["type", "left"], ["shape", "left"], ["size", "right"]],
      tensors.map((
        { name, type, shape, byteLength },
      ) => [name, type, `[${shape.join(", ")}]`, formatBytes(byteLength)]),
    ));
  }
}
