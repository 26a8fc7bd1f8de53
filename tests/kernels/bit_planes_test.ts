// Binary coding as table_linear runs it, against the sum over bit planes that defines it.
import {
  type Backend,
  createReferenceBackend,
  createWasmBackend,
  createWebGpuBackend,
  packedRowBytes,
  type TableLinearSpec,
} from "../../kernels/mod.ts";
import {
  type BinaryCoding,
  binaryLevels,
  bitPlanes,
  createRandom,
  fitBinaryCoding,
  planeCodes,
} from "../../quant/mod.ts";
import { pack } from "../../formats/mod.ts";
import { assertAlmostEquals } from "@std/assert";
import { runCase } from "./conformance.ts";
import { gpu } from "./_gpu.ts";
import { normals } from "./_inputs.ts";

const ROWS = 3, COLUMNS = 5, INNER = 192, GROUP = 64;
const GROUPS = INNER / GROUP;

/** A weight in binary coding: its planes, group by group, and the code of each group. */
function codedWeight(bits: number) {
  const random = createRandom(bits);
  return Array.from({ length: COLUMNS * GROUPS }, () => {
    const values = normals(random, GROUP);
    const coding = fitBinaryCoding(values, bits);
    const levels = binaryLevels(coding);
    const codes = Array.from(values, (value) => {
      const errors = Array.from(levels, (level) => Math.abs(level - value));
      return errors.indexOf(Math.min(...errors));
    });
    return { coding, planes: bitPlanes(codes, bits) };
  });
}

/** What LUT-GEMM computes of a group: the offset times the sum of x, and alpha times each plane's signed sum. */
function planeSum({ alpha, offset }: BinaryCoding, planes: Uint32Array, x: Float32Array): number {
  const words = planes.length / alpha.length;
  const signed = (i: number): number =>
    x.reduce((sum, value, k) => sum + (planes[i * words + (k >> 5)] >>> (k & 31) & 1 ? value : -value), 0);
  return offset * x.reduce((sum, value) => sum + value, 0) +
    alpha.reduce((sum, size, i) => sum + size * signed(i), 0);
}

const backends:
  readonly (readonly [name: string, create: () => Backend | Promise<Backend>, ignore: boolean])[] = [
    ["reference", createReferenceBackend, false],
    ["wasm", () => createWasmBackend({ threads: 1 }), false],
    [`webgpu${gpu.reason}`, () => createWebGpuBackend(), gpu.ignore],
  ];

for (const [name, create, ignore] of backends) {
  Deno.test({
    name: `table_linear multiplies the bit planes of binary coding (${name})`,
    ignore,
    fn: async () => {
      using backend = await create();
      for (const bits of [2, 3, 4] as const) {
        const groups = codedWeight(bits);
        const x = normals(createRandom(9), ROWS * INNER);
        const stride = packedRowBytes(INNER, bits);
        const codes = new Uint8Array(COLUMNS * stride);
        for (let column = 0; column < COLUMNS; column++) {
          const row = groups.slice(column * GROUPS, (column + 1) * GROUPS)
            .flatMap(({ planes }) => [...planeCodes(planes, bits, GROUP)]);
          codes.set(pack(Uint8Array.from(row), bits), column * stride);
        }
        const tables = Float32Array.from(groups.flatMap(({ coding }) => [...binaryLevels(coding)]));
        const spec: TableLinearSpec = {
          op: "table_linear",
          rows: ROWS,
          columns: COLUMNS,
          inner: INNER,
          bits,
          groupSize: GROUP,
          bias: false,
        };
        const [y] = await runCase(backend, { spec, inputs: [x, codes, tables], comparisons: ["float"] });
        new Float32Array(y).forEach((value, at) => {
          const row = Math.floor(at / COLUMNS) * INNER;
          const first = (at % COLUMNS) * GROUPS;
          const expected = groups.slice(first, first + GROUPS).reduce(
            (sum, { coding, planes }, g) =>
              sum + planeSum(coding, planes, x.subarray(row + g * GROUP, row + (g + 1) * GROUP)),
            0,
          );
          assertAlmostEquals(value, expected, 1e-3);
        });
      }
    },
  });
}
