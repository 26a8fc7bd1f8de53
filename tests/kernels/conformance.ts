// One suite for all backends: every op, ragged shapes included, against the reference backend.
// A backend's test file is a call of `runConformance`.
import type { Backend, DeviceBuffer } from "../../kernels/backend.ts";
import { decodeArray, float16 } from "../../formats/mod.ts";
import { createReferenceBackend } from "../../kernels/reference/backend.ts";
import { kernelSignature, specKey } from "../../kernels/signature.ts";
import type { AffineLinearSpec } from "../../kernels/fbgemm_specs.ts";
import {
  float16RowBytes,
  type KernelSpec,
  packedRowBytes,
  type QuantizeActivationsSpec,
} from "../../kernels/specs.ts";
import { assert, assertEquals } from "@std/assert";
import { type Case, conformanceCases } from "./_cases.ts";

/** A case that a backend does not run, and why. */
export interface Skip {
  readonly matches: (spec: KernelSpec) => boolean;
  readonly reason: string;
}

/** What a backend's test states about it. */
export interface ConformanceOptions {
  /** Largest float error, relative to the magnitude of the summed terms. Default 1e-5. */
  readonly tolerance?: number;
  /** Specs that the backend does not support, each with the reason; a skipped spec must really be unsupported. */
  readonly skip?: readonly Skip[];
  /** Ignore the whole suite, for example where there is no adapter. */
  readonly ignore?: boolean;
}

/**
 * Registers one test per op, each running all its cases on a fresh backend.
 *
 * @param name Shown in the test names.
 * @param createBackend Makes the backend under test.
 * @param options Tolerance and skips.
 */
export function runConformance(
  name: string,
  createBackend: () => Backend | Promise<Backend>,
  options: ConformanceOptions = {},
): void {
  const byOp = Map.groupBy(conformanceCases(), (testCase) => testCase.spec.op);
  for (const [op, cases] of byOp) {
    Deno.test({
      name: `${name} conforms to the reference: ${op} (${cases.length} cases)`,
      ignore: options.ignore ?? false,
      fn: async () => {
        using backend = await createBackend();
        for (const testCase of cases) await checkCase(backend, testCase, options);
      },
    });
  }
}

/** Runs one case on a backend and on the reference, and compares. */
export async function checkCase(
  backend: Backend,
  testCase: Case,
  options: ConformanceOptions = {},
): Promise<void> {
  const { spec } = testCase;
  const skip = options.skip?.find((skip) => skip.matches(spec));
  assertEquals(backend.supports(spec), skip === undefined, `supports(${specKey(spec)})`);
  if (skip) return;
  using reference = createReferenceBackend();
  const expected = await runCase(reference, testCase);
  const actual = await runCase(backend, testCase);
  // What a spec allows beyond float32, only a GPU makes use of.
  const allowed = backend.name === "webgpu" ? testCase.tolerance : undefined;
  const tolerance = allowed ?? options.tolerance ?? 1e-5;
  for (let i = 0; i < expected.length; i++) {
    const label = `${specKey(spec)}, output ${i}`;
    const comparison = testCase.comparisons[i];
    if (comparison === "exact") assertSameBytes(actual[i], expected[i], label);
    else if (comparison === "halves") assertHalves(actual[i], expected[i], testCase, label);
    else if (comparison === "requantized") {
      await checkRequantized(backend.name, testCase, actual[i], expected[i], label);
    } else if (comparison === "codes") assertCodes(testCase, actual[0], expected, label);
    else assertClose(actual[i], expected[i], testCase, tolerance, label);
  }
}

/** Runs one case and reads its outputs, which start out poisoned unless the op accumulates. */
export async function runCase(backend: Backend, testCase: Case): Promise<ArrayBuffer[]> {
  const { spec } = testCase;
  const kernel = await backend.prepare(spec);
  const inputs = testCase.inputs.map((data) => upload(backend, data));
  const outputs = kernelSignature(spec).outputs.map(({ bytes }, i) =>
    upload(backend, testCase.initial?.[i] ?? new Uint8Array(Math.ceil(bytes / 4) * 4).fill(0xa5))
  );
  backend.dispatch(kernel, inputs, outputs);
  const results = await Promise.all(outputs.map((buffer) => backend.read(buffer)));
  for (const buffer of [...inputs, ...outputs]) buffer.dispose();
  return results;
}

function upload(backend: Backend, data: ArrayBufferView<ArrayBuffer>): DeviceBuffer {
  const buffer = backend.allocate(data.byteLength);
  backend.write(buffer, data);
  return buffer;
}

function assertSameBytes(actual: ArrayBuffer, expected: ArrayBuffer, label: string): void {
  const a = new Uint8Array(actual);
  const b = new Uint8Array(expected);
  assertEquals(a.length, b.length, label);
  for (let i = 0; i < a.length; i++) {
    assert(a[i] === b[i], `${label}: byte ${i} is ${a[i]} and should be ${b[i]}`);
  }
}

function assertClose(
  actual: ArrayBuffer,
  expected: ArrayBuffer,
  testCase: Case,
  tolerance: number,
  label: string,
): void {
  const a = new Float32Array(actual);
  const b = new Float32Array(expected);
  // Terms of size 1 that are summed `magnitude` times; otherwise the typical size of the output.
  const typical = b.reduce((sum, value) => sum + Math.abs(value), 0) / b.length;
  const floor = testCase.magnitude ? Math.sqrt(testCase.magnitude) : typical;
  for (let i = 0; i < b.length; i++) {
    const allowed = tolerance * Math.max(Math.abs(b[i]), floor);
    assert(
      Math.abs(a[i] - b[i]) <= allowed,
      `${label}: element ${i} is ${a[i]} and should be ${b[i]} (allowed error ${allowed})`,
    );
  }
}

function assertHalves(actual: ArrayBuffer, expected: ArrayBuffer, testCase: Case, label: string): void {
  const { columns } = testCase.spec as { readonly columns: number };
  const stride = float16RowBytes(columns) / 2;
  const a = new Uint16Array(actual);
  const b = new Uint16Array(expected);
  const floats = (halves: Uint16Array) => Float32Array.from(decodeArray(float16, halves)).buffer;
  for (let i = 0; i < b.length; i++) {
    if (i % stride >= columns) assertEquals(a[i], 0, `${label}: padding at ${i}`);
  }
  assertClose(floats(a), floats(b), testCase, 2 ** -10, label);
}

/** The results of an `affine_linear`: floats, or codes of floats. */
async function checkRequantized(
  backend: string,
  testCase: Case,
  actual: ArrayBuffer,
  expected: ArrayBuffer,
  label: string,
): Promise<void> {
  const spec = testCase.spec as AffineLinearSpec;
  if (backend !== "webgpu") return assertSameBytes(actual, expected, label);
  if (spec.outputType === "float32") return assertClose(actual, expected, testCase, 1e-6, label);
  using reference = createReferenceBackend();
  const [real] = await runCase(reference, { ...testCase, spec: { ...spec, outputType: "float32" } });
  const [, , scale] = testCase.inputs[1] as Float32Array;
  const stride = packedRowBytes(spec.columns, 8);
  const mine = new Uint8Array(actual);
  const theirs = new Uint8Array(expected);
  new Float32Array(real).forEach((value, i) => {
    const at = Math.floor(i / spec.columns) * stride + i % spec.columns;
    const level = value / scale;
    const fromTie = Math.abs(level - Math.floor(level) - 0.5);
    if (fromTie < 1e-4 && Math.abs(mine[at] - theirs[at]) === 1) mine[at] = theirs[at];
  });
  assertSameBytes(actual, expected, label);
}

/** Codes may be one apart only where the value lies on the boundary between them. */
function assertCodes(
  testCase: Case,
  actual: ArrayBuffer,
  expected: readonly ArrayBuffer[],
  label: string,
): void {
  const spec = testCase.spec as QuantizeActivationsSpec;
  const count = spec.columns - spec.outliers;
  const stride = packedRowBytes(count, spec.bits);
  const x = testCase.inputs[0] as Float32Array<ArrayBuffer>;
  const base = testCase.inputs[1] as Uint32Array<ArrayBuffer>;
  const qparams = new Float32Array(expected[1]);
  const read = (bytes: ArrayBuffer, row: number, k: number) => {
    const byte = new Int8Array(bytes)[row * stride + (k * spec.bits >> 3)];
    if (spec.bits === 8) return byte;
    return k % 2 === 0 ? (byte << 28) >> 28 : byte >> 4;
  };
  const ownBytes = new Uint8Array(actual);
  for (let row = 0; row < spec.rows; row++) {
    for (let k = 0; k < count; k++) {
      const mine = read(actual, row, k);
      const theirs = read(expected[0], row, k);
      if (mine === theirs) continue;
      const level = (x[row * spec.columns + base[k]] - qparams[row * 2 + 1]) / qparams[row * 2];
      const fromTie = Math.abs(level - Math.floor(level) - 0.5);
      assert(
        Math.abs(mine - theirs) === 1 && fromTie < 1e-4,
        `${label}: code [${row}, ${k}] is ${mine} and should be ${theirs} (level ${level})`,
      );
    }
    const used = Math.ceil(count * spec.bits / 8);
    for (let i = used; i < stride; i++) {
      assertEquals(ownBytes[row * stride + i], 0, `${label}: padding of row ${row}`);
    }
  }
}
