// Roofline tables of the GPU kernels: `deno task bench:gpu [--gpu dawn] [--small] [--tune] [--json FILE]`.
// Timestamp queries, medians of seven rounds, fresh random data, weights rotated among copies larger than a 50 MB cache,
// ceilings measured in the same run.
import { parseArgs } from "node:util";
import {
  createAutotuner,
  createWebGpuBackend,
  type DeviceBuffer,
  GpuTimer,
  kernelSignature,
  type TimedStep,
  type Timing,
  type WebGpuBackend,
} from "../kernels/mod.ts";
import { createDawnDevice } from "../kernels/webgpu/dawn.ts";
import { type Ceiling, measureCeilings } from "./_ceilings.ts";
import { randomInputs } from "./_gpu_data.ts";
import { type Measurement, measurements } from "./_gpu_tables.ts";

const COLD_BYTES = 160e6;

/** One line of a table. */
interface Result {
  readonly table: string;
  readonly name: string;
  readonly shape: readonly number[];
  readonly variants: readonly string[];
  readonly microseconds: { readonly median: number; readonly min: number; readonly max: number };
  /** Operations per second (prefill) or bytes per second (decode). */
  readonly rate: number;
  readonly ofCeiling: number;
  readonly clock: number;
}

const { values: options } = parseArgs({
  options: {
    gpu: { type: "string", default: "auto" },
    small: { type: "boolean", default: false },
    tune: { type: "boolean", default: false },
    json: { type: "string" },
  },
});

const dawn = options.gpu === "dawn";
using backend = await createWebGpuBackend({
  ...(dawn ? { device: await createDawnDevice() } : {}),
  ...(options.tune ? { choose: createAutotuner() } : {}),
});
using timer = new GpuTimer(backend);
const small = options.small || backend.capabilities.software ||
  /llvmpipe|swiftshader/i.test(backend.description);
const jobs = await prepareAll(measurements(backend.capabilities.subgroupMatrices.length > 0, small));
await timer.warmUp(small ? 0.1 : 3);
const ceilings = await measureCeilings(backend, timer);
const results: Result[] = [];
for (const { measurement, rotation } of jobs) {
  results.push(summarize(measurement, rotation[0], await timer.time(rotation), ceilings));
}
print(ceilings, results);
if (options.json !== undefined) await save(options.json);

interface Job {
  readonly measurement: Measurement;
  readonly rotation: readonly (readonly TimedStep[])[];
}

/** Everything slow on the host comes first: a GPU left waiting lowers its clock. */
async function prepareAll(list: readonly Measurement[]): Promise<Job[]> {
  const job = async (measurement: Measurement): Promise<Job> => ({
    measurement,
    rotation: await prepareJob(backend, measurement),
  });
  if (!options.tune) return await Promise.all(list.map(job));
  // One at a time, so that no candidate is timed beside another's.
  const jobs: Job[] = [];
  for (const measurement of list) jobs.push(await job(measurement));
  return jobs;
}

async function prepareJob(backend: WebGpuBackend, { specs }: Measurement): Promise<TimedStep[][]> {
  const stages: TimedStep[][] = [];
  let given: Record<number, DeviceBuffer> = {};
  for (const spec of specs) {
    const kernel = await backend.prepare(spec);
    const outputs = kernelSignature(spec).outputs.map(({ bytes }) => backend.allocate(Math.max(16, bytes)));
    const copies = randomInputs(backend, spec, small ? 0 : COLD_BYTES, given);
    stages.push(copies.map((inputs) => ({ kernel, inputs, outputs })));
    given = Object.fromEntries(outputs.entries());
  }
  const turns = Math.max(...stages.map((copies) => copies.length));
  return Array.from({ length: turns }, (_, turn) => stages.map((copies) => copies[turn % copies.length]));
}

function summarize(
  measurement: Measurement,
  steps: readonly TimedStep[],
  { median, min, max, clock }: Timing,
  ceilings: readonly Ceiling[],
): Result {
  const { table, name, shape, ceiling } = measurement;
  const work = table === "prefill" ? 2 * shape[0] * shape[1] * shape[2] : bytesOf(steps);
  const rate = work / median;
  return {
    table,
    name,
    shape,
    variants: steps.map(({ kernel }) => kernel.variant),
    microseconds: { median: median * 1e6, min: min * 1e6, max: max * 1e6 },
    rate,
    ofCeiling: rate / (ceilings.find(({ name }) => name === ceiling)?.rate ?? NaN),
    clock,
  };
}

/** Bytes of the last step's inputs and outputs, each once. */
function bytesOf(steps: readonly TimedStep[]): number {
  const { kernel } = steps[steps.length - 1];
  const { inputs, outputs } = kernelSignature(kernel.spec);
  return [...inputs, ...outputs].reduce((sum, { bytes }) => sum + bytes, 0);
}

function print(ceilings: readonly Ceiling[], results: readonly Result[]): void {
  const tera = (value: number): string => (value / 1e12).toFixed(value < 1e13 ? 2 : 0);
  console.log(`\n${backend.description}, ${dawn ? "Dawn" : "the platform's own WebGPU"}\n`);
  console.log("| ceiling | measured |\n| --- | --- |");
  for (const { name, rate, unit } of ceilings) console.log(`| ${name} | ${tera(rate)} T${unit} |`);
  for (const table of ["prefill", "decode", "few tokens"]) {
    const unit = table === "prefill" ? "TOP/s" : "TB/s";
    console.log(`\n| ${table} | tokens x out x in | microseconds | ${unit} | of ceiling | variant |`);
    console.log("| --- | --- | --- | --- | --- | --- |");
    for (
      const { name, shape, microseconds, rate, ofCeiling, variants } of results.filter((r) =>
        r.table === table
      )
    ) {
      console.log(
        `| ${name} | ${shape.join(" x ")} | ${microseconds.median.toFixed(1)} | ${tera(rate)} | ${
          (100 * ofCeiling).toFixed(0)
        }% | ${variants.join(", ")} |`,
      );
    }
  }
}

/** Adds this run to a file that holds one run per implementation. */
async function save(file: string): Promise<void> {
  const { dawn: dawnRun, deno: denoRun } = await Deno.readTextFile(file).then(JSON.parse).catch(() => ({}));
  const run = {
    adapter: backend.description,
    date: new Date().toISOString().slice(0, 10),
    ceilings,
    results,
  };
  const runs = dawn ? { dawn: run, deno: denoRun } : { dawn: dawnRun, deno: run };
  await Deno.writeTextFile(file, `${JSON.stringify(runs, null, 1)}\n`);
}
