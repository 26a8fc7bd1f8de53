// Weight-only products of any 4-bit or 8-bit format for a few tokens: codes become levels through a table in workgroup memory.
// Sixteen levels lie in sixteen banks, so that a subgroup looks up 32 codes at once; of 256 levels several meet in a bank,
// and evenly spaced ones are computed.
import { type CodebookLinearSpec, packedRowBytes } from "../specs.ts";
import { DECODE_ROWS, decodeTakes, inTurns } from "./_decode.ts";
import { codebookDecodePass, type PreparedX } from "./_codebook_decode.ts";
import type { DecodePhase, DecodeShape } from "./_decode_loops.ts";
import { floatStorage } from "./_operands.ts";
import { type KernelVariant, scratch } from "./program.ts";
import { READ_LEVELS } from "./_digits.ts";
import { range } from "./_range.ts";
import { SCALE_BYTES } from "../_roles.ts";
import { groupOfUnit, unitScales } from "./_unit_scales.ts";
import {
  planeBytes,
  planedInput,
  type PlanedRows,
  planeMemory,
  planesPass,
  planeValue,
  stagePlanes,
} from "./_x_planes.ts";
import type { WebGpuCapabilities } from "./capabilities.ts";

/** Codes of a unit of 16 bytes. */
const unitCodes = ({ bits }: CodebookLinearSpec): number => 128 / bits;

/** Codes that share a scale within a unit. */
const sharing = (spec: CodebookLinearSpec): number =>
  spec.groupSize % unitCodes(spec) === 0 || spec.groupSize >= spec.inner ? unitCodes(spec) : spec.groupSize;

const rowsOf = (spec: CodebookLinearSpec): PlanedRows => ({
  rows: spec.rows,
  inner: spec.inner,
  units: packedRowBytes(spec.inner, spec.bits) / 16,
  vectors: unitCodes(spec) / 4,
});

/** How codes become levels: WGSL declarations, statements around the first reads of the weight, and an expression. */
interface Levels {
  readonly declarations: string;
  readonly reads: string;
  readonly prologue: string;
  level(code: string): string;
}

function levelsOf({ bits, evenLevels }: CodebookLinearSpec): Levels {
  if (bits === 8 && evenLevels === true) {
    return {
      declarations: "",
      reads: READ_LEVELS,
      prologue: "",
      // The code in the low bits of 2^23.
      level: (code) => `fma(bitcast<f32>(0x4b000000u | ${code}) - 8388608.0, spacing, lowest)`,
    };
  }
  return {
    declarations: `var<workgroup> levels: array<f32, ${2 ** bits}>;`,
    reads: `let level_here = table[min(local, ${2 ** bits - 1}u)];`,
    prologue: `if (local < ${2 ** bits}u) { levels[local] = level_here; }`,
    level: (code) => `levels[${code}]`,
  };
}

function phaseOf(spec: CodebookLinearSpec): DecodePhase {
  const { bits, zeroPoint, scaleType } = spec;
  const planed = rowsOf(spec);
  const codes = unitCodes(spec);
  const shared = sharing(spec);
  const parts = range(codes / shared);
  const { level } = levelsOf(spec);
  const levelAt = (fetched: string, k: number): string => {
    const bit = k * bits;
    return level(`((${fetched}.${"xyzw"[bit >> 5]} >> ${bit & 31}u) & ${2 ** bits - 1}u)`);
  };
  const group = (r: number, p: number): string => `group_${r}_${p}`;
  return {
    right: "right",
    units: planed.units,
    sum: "acc",
    type: "f32",
    loadRow: (m, unit) =>
      range(planed.vectors).map((v) => `let x_${v} = ${planeValue(planed, v, m, unit)};`).join(" "),
    beside: unitScales(spec, codes),
    expand: (r, fetched, unit, column, beside) =>
      [
        ...parts.flatMap((p) => [
          `let ${group(r, p)} = ${groupOfUnit(spec, codes, unit, column, p * shared)};`,
          `let scale_${r}_${p} = ${floatStorage(scaleType).value(beside, group(r, p))};`,
        ]),
        ...range(planed.vectors).map((v) => {
          const levels = `vec4<f32>(${range(4).map((i) => levelAt(fetched, 4 * v + i)).join(", ")})`;
          const zero = zeroPoint ? ` - vec4<f32>(zeros[${group(r, Math.floor(4 * v / shared))}])` : "";
          return `let w_${r}_${v} = ${levels}${zero};`;
        }),
      ].join("\n        "),
    multiply: (r, _m, sum) =>
      parts.map((p) => {
        const vectors = range(shared / 4).map((i) => p * shared / 4 + i);
        return `${sum} += scale_${r}_${p} * (${vectors.map((v) => `dot(w_${r}_${v}, x_${v})`).join(" + ")});`;
      }).join(" "),
  };
}

/** x, and the levels beside it. */
function withLevels(spec: CodebookLinearSpec, x: PreparedX): PreparedX {
  const levels = levelsOf(spec);
  return {
    bindings: x.bindings,
    declarations: `${levels.declarations}\n${x.declarations}`,
    reads: `${x.reads}\n  ${levels.reads}`,
    prologue: `${x.prologue}\n  ${levels.prologue}\n  workgroupBarrier();`,
  };
}

/** Whether units hold whole groups, or two groups whose scales lie in one word. */
function groupsFit(spec: CodebookLinearSpec): boolean {
  const { inner, groupSize, scaleType } = spec;
  if (groupSize % unitCodes(spec) === 0 || groupSize >= inner) return true;
  return 2 * groupSize === unitCodes(spec) && SCALE_BYTES[scaleType] <= 2 && inner % (2 * groupSize) === 0;
}

function supported(
  spec: CodebookLinearSpec,
  shape: DecodeShape,
  capabilities: WebGpuCapabilities,
  mostRows?: number,
): boolean {
  return decodeTakes(shape, spec, capabilities, mostRows) && (spec.bits === 4 || spec.bits === 8) &&
    2 ** spec.bits <= 32 * shape.subgroups && spec.inner % 4 === 0 && groupsFit(spec);
}

/** The variant of one division of the columns, for a token or two: every workgroup keeps x in its memory. */
export function codebookLinearTable(name: string, shape: DecodeShape): KernelVariant<CodebookLinearSpec> {
  return {
    name,
    supports: (spec, capabilities) =>
      supported(spec, shape, capabilities, DECODE_ROWS) &&
      planeBytes(rowsOf(spec)) + 4 * 2 ** spec.bits <= capabilities.limits.maxComputeWorkgroupStorageSize,
    generate: (spec, capabilities) => {
      const x = withLevels(spec, {
        bindings: [planedInput],
        declarations: planeMemory(rowsOf(spec)),
        ...stagePlanes(rowsOf(spec), 32 * shape.subgroups),
      });
      const rows = { first: 0, rows: spec.rows };
      return { passes: [codebookDecodePass(spec, rows, shape, capabilities, phaseOf(spec), x)] };
    },
  };
}

/** The variant for more tokens: a first pass puts x in order, once for all. */
export function codebookLinearTableRows(name: string, shape: DecodeShape): KernelVariant<CodebookLinearSpec> {
  return {
    name,
    supports: (spec, capabilities) => supported(spec, shape, capabilities),
    generate: (spec, capabilities) => {
      const bindings = [scratch(0, "planes", "array<vec4<f32>>", "read")];
      const x = withLevels(spec, { bindings, declarations: "", reads: "", prologue: "" });
      return {
        scratch: [planeBytes(rowsOf(spec))],
        passes: [
          planesPass(rowsOf(spec)),
          ...inTurns(spec.rows).map((taken) =>
            codebookDecodePass(spec, taken, shape, capabilities, phaseOf(spec), x)
          ),
        ],
      };
    },
  };
}

/** Variants of `codebook_linear` for a few tokens and levels of any spacing; the counts of workgroups fill a device of 132
 * processors. */
export const codebookLinearTableVariants: readonly KernelVariant<CodebookLinearSpec>[] = [
  // Long rows do not fit the registers as a whole; then a vector of x had better serve four columns.
  {
    ...codebookLinearTable("table_4", { columns: 4, unroll: 4, subgroups: 16, workgroups: 132 }),
    suits: ({ rows, inner }) => rows === 1 && inner > 4096,
  },
  {
    ...codebookLinearTable("table_2", { columns: 2, unroll: 1, subgroups: 16, workgroups: 132 }),
    suits: ({ rows }) => rows <= 2,
  },
  codebookLinearTableRows("table_rows", { columns: 2, unroll: 1, subgroups: 8 }),
];
