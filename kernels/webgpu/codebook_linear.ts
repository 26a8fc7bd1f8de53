// Weight-only products with any format of at most 8 bits: codes become levels through a table in workgroup memory, on
// their way into the tile, so that a new format needs no new kernel.
import { type CodebookLinearSpec, packedRowBytes } from "../specs.ts";
import { FLOAT8_FUNCTIONS, floatRowsOperand, floatStorage } from "./_operands.ts";
import { FEW_ROWS, rowBlock, rowShader, rowWorkgroups, unitVectors } from "./_rows.ts";
import {
  multiplyFloat,
  type Operand,
  tiledShader,
  type TilePhase,
  type TileShape,
  tileWorkgroups,
} from "./_tile.ts";
import { TILE_SHAPES, tileFits, tileSuits } from "./_tile_variants.ts";
import { type Binding, definePass, input, type KernelVariant, output } from "./program.ts";

/** Codes in a fetched unit: a word of them, or 24 bits of a three-bit stream. */
const UNIT_CODES: Readonly<Record<CodebookLinearSpec["bits"], number>> = { 2: 16, 3: 8, 4: 8, 8: 4 };

const LOAD_TABLE = (bits: number): string =>
  `if (local < ${2 ** bits}u) { levels[local] = table[local]; }
  workgroupBarrier();`;

/** The weight: units of codes, expanded to vectors of four dequantized values. */
function weightOperand({ bits, groupSize, scaleType, zeroPoint }: CodebookLinearSpec): Operand {
  const codes = UNIT_CODES[bits];
  const mask = 2 ** bits - 1;
  const scale = (index: string): string => floatStorage(scaleType).load("scales", index);
  const level = (i: number): string => `levels[(codes >> ${i * bits}u) & ${mask}u]`;
  const value = (i: number, group: string): string =>
    `(${level(i)}${zeroPoint ? ` - zeros[${group}]` : ""}) * ${scale(group)}`;
  const groupOf = (k: string): string => `groups_start + min((${k}) / ${groupSize}u, uniforms.groups - 1u)`;
  // Groups of a multiple of four share one scale among the values of a vector.
  const decoded = groupSize % 4 === 0
    ? `let group = ${groupOf("k")};
  let scale = ${scale("group")};
  return (vec4<f32>(${[0, 1, 2, 3].map(level).join(", ")})${
      zeroPoint ? " - vec4<f32>(zeros[group])" : ""
    }) * scale;`
    : `return vec4<f32>(${[0, 1, 2, 3].map((i) => value(i, groupOf(`k + ${i}u`))).join(",\n    ")});`;
  return {
    declarations: `
var<workgroup> levels: array<f32, ${2 ** bits}>;
${scaleType.startsWith("float8") ? FLOAT8_FUNCTIONS : ""}
fn decode_weight(codes: u32, row: u32, k: u32) -> vec4<f32> {
  let groups_start = min(row, uniforms.columns - 1u) * uniforms.groups;
  ${decoded}
}
fn fetch_right(row: u32, unit: u32) -> u32 {
  let start = min(row, uniforms.columns - 1u) * uniforms.right_stride;
  ${bits === 3 ? FETCH_24_BITS : "return right[start + min(unit, uniforms.right_stride - 1u)];"}
}`,
    type: "u32",
    fetch: (row, unit) => `fetch_right(${row}, ${unit})`,
    expand: Array.from(
      { length: codes / 4 },
      (_, e) => (fetched: string, row: string, unit: string): string =>
        `decode_weight(${fetched} >> ${e * 4 * bits}u, ${row}, ${unit} * ${codes}u + ${e * 4}u)`,
    ),
  };
}

const FETCH_24_BITS = `let bit = unit * 24u;
  let word = min(bit / 32u, uniforms.right_stride - 1u);
  let shift = bit % 32u;
  let next = right[start + min(word + 1u, uniforms.right_stride - 1u)];
  // Shifted in two steps, because a shift by 32 is undefined.
  return (right[start + word] >> shift) | ((next << (31u - shift)) << 1u);`;

function productOf(spec: CodebookLinearSpec): { bindings: Binding[]; phase: Omit<TilePhase, "steps"> } {
  const left = floatRowsOperand({ buffer: "left", rows: "uniforms.rows" }, "float32", spec.inner);
  return {
    bindings: [
      input(0, "left", left.binding),
      input(1, "right", "array<u32>"),
      input(2, "table", "array<f32>"),
      input(3, "scales", floatStorage(spec.scaleType).binding),
      ...(spec.zeroPoint ? [input(4, "zeros", "array<f32>")] : []),
      ...(spec.bias ? [input(spec.zeroPoint ? 5 : 4, "bias", "array<f32>")] : []),
      output(0, "y", "array<f32>"),
    ],
    phase: {
      left: left.operand,
      right: weightOperand(spec),
      accumulator: "acc",
      accumulatorType: "f32",
      multiply: multiplyFloat,
    },
  };
}

function uniformsOf(spec: CodebookLinearSpec, depth: number): Record<string, number> {
  const { rows, columns, inner, bits, groupSize } = spec;
  return {
    rows,
    columns,
    inner,
    groups: Math.ceil(inner / groupSize),
    right_stride: packedRowBytes(inner, bits) / 4,
    steps: Math.ceil(inner / (4 * depth)),
  };
}

const result = ({ bias }: CodebookLinearSpec, sum: string): string =>
  `y[row * uniforms.columns + column] = ${sum}${bias ? " + bias[column]" : ""};`;

function tiled(name: string, shape: TileShape): KernelVariant<CodebookLinearSpec> {
  return {
    name,
    supports: ({ bits }, capabilities) => tileFits(shape, capabilities, 4 * 2 ** bits),
    suits: ({ rows, columns }) => rows > FEW && tileSuits(shape, rows, columns),
    generate: (spec) => {
      const { bindings, phase } = productOf(spec);
      return {
        passes: [definePass({
          bindings,
          uniforms: uniformsOf(spec, shape.depth),
          workgroups: tileWorkgroups(shape, spec.rows, spec.columns),
          body: tiledShader(shape, [{ ...phase, steps: "uniforms.steps" }], {
            wordType: "f32",
            prologue: LOAD_TABLE(spec.bits),
            perElement: (sum) => result(spec, sum(0)),
          }),
        })],
      };
    },
  };
}

/** Rows above which the sums of one invocation and the table no longer fit the workgroup memory that every device has. */
const FEW = FEW_ROWS / 2;

const fewRows: KernelVariant<CodebookLinearSpec> = {
  name: "few_rows",
  supports: ({ rows }) => rows <= FEW,
  generate: (spec) => {
    const { bindings, phase } = productOf(spec);
    return {
      passes: [definePass({
        bindings,
        uniforms: uniformsOf(spec, unitVectors(phase)),
        workgroups: rowWorkgroups(spec.columns),
        body: rowShader(
          rowBlock(spec.rows),
          [{ ...phase, units: "uniforms.steps" }],
          (sum) => result(spec, sum(0)),
          LOAD_TABLE(spec.bits),
        ),
      })],
    };
  },
};

/** Variants of `codebook_linear`. */
export const codebookLinearVariants: readonly KernelVariant<CodebookLinearSpec>[] = [
  fewRows,
  ...TILE_SHAPES.map(([name, shape]) => tiled(name, shape)),
];
