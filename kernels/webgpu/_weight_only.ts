// What products with packed weights and float activations share: how units of codes are fetched, and the tiled shaders
// and the one for few rows that multiply them.
import { type KernelSpec, packedRowBytes } from "../specs.ts";
import { floatRowsOperand } from "./_operands.ts";
import { FEW_ROWS, rowBlock, rowShader, rowWorkgroups, unitVectors } from "./_rows.ts";
import { multiplyFloat, type Operand, tiledShader, type TilePhase, tileWorkgroups } from "./_tile.ts";
import { TILE_SHAPES, tileFits, tileSuits } from "./_tile_variants.ts";
import { type Binding, definePass, input, type KernelVariant, output } from "./program.ts";

/** Bits of a packed code. */
export type PackedBits = 2 | 3 | 4 | 8;

/** Codes in a fetched unit: a word of them, or 24 bits of a three-bit stream. */
const UNIT_CODES: Readonly<Record<PackedBits, number>> = { 2: 16, 3: 8, 4: 8, 8: 4 };

const FETCH_24_BITS = `let bit = unit * 24u;
  let word = min(bit / 32u, uniforms.right_stride - 1u);
  let shift = bit % 32u;
  let next = right[start + min(word + 1u, uniforms.right_stride - 1u)];
  // Shifted in two steps, because a shift by 32 is undefined.
  return (right[start + word] >> shift) | ((next << (31u - shift)) << 1u);`;

/**
 * The weight as an operand: units of codes from binding `right`, expanded to vectors of four dequantized values.
 *
 * @param bits Bits of a code.
 * @param functions WGSL of `decode_weight(codes, row, k) -> vec4<f32>`: the values of four codes, low bits first.
 */
export function packedOperand(bits: PackedBits, functions: string): Operand {
  const codes = UNIT_CODES[bits];
  return {
    declarations: `
${functions}
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

/** WGSL expression for the code of value `i` of four in `codes`. */
export function codeAt(bits: PackedBits, i: number): string {
  return `((codes >> ${i * bits}u) & ${2 ** bits - 1}u)`;
}

/** The members that specs of such products share. */
interface WeightOnlySpec {
  readonly op: "codebook_linear" | "table_linear";
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly bits: PackedBits;
  readonly groupSize: number;
  readonly bias: boolean;
}

/** How an op reads its weight. Input 0 is x, input 1 the codes; a bias, if any, is the last input. */
export interface WeightOnly<Spec> {
  /** Bindings of inputs 2 and on, the bias apart. */
  parameters(spec: Spec): readonly Binding[];
  /** The weight. */
  operand(spec: Spec): Operand;
  /** Statements before anything else. */
  prologue(spec: Spec): string;
  /** Bytes of workgroup memory of its own. */
  workgroupBytes(spec: Spec): number;
}

/** The variants of an op. */
export function weightOnlyVariants<Spec extends WeightOnlySpec & KernelSpec>(
  weight: WeightOnly<Spec>,
): readonly KernelVariant<Spec>[] {
  const bindingsOf = (spec: Spec, left: Binding): Binding[] => {
    const parameters = weight.parameters(spec);
    return [
      left,
      input(1, "right", "array<u32>"),
      ...parameters,
      ...(spec.bias ? [input(2 + parameters.length, "bias", "array<f32>")] : []),
      output(0, "y", "array<f32>"),
    ];
  };
  const productOf = (spec: Spec): { bindings: Binding[]; phase: Omit<TilePhase, "steps"> } => {
    const left = floatRowsOperand({ buffer: "left", rows: "uniforms.rows" }, "float32", spec.inner);
    return {
      bindings: bindingsOf(spec, input(0, "left", left.binding)),
      phase: {
        left: left.operand,
        right: weight.operand(spec),
        accumulator: "acc",
        accumulatorType: "f32",
        multiply: multiplyFloat,
      },
    };
  };
  const few: KernelVariant<Spec> = {
    name: "few_rows",
    // The sums of sixteen rows take all the workgroup memory that every device has.
    supports: (spec, { limits }) =>
      spec.rows <= FEW_ROWS &&
      rowBlock(spec.rows) * 1024 + weight.workgroupBytes(spec) <= limits.maxComputeWorkgroupStorageSize,
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
            weight.prologue(spec),
          ),
        })],
      };
    },
  };
  const tiled = TILE_SHAPES.map(([name, shape]): KernelVariant<Spec> => ({
    name,
    supports: (spec, capabilities) => tileFits(shape, capabilities, weight.workgroupBytes(spec)),
    suits: ({ rows, columns }) => rows > FEW_ROWS && tileSuits(shape, rows, columns),
    generate: (spec) => {
      const { bindings, phase } = productOf(spec);
      return {
        passes: [definePass({
          bindings,
          uniforms: uniformsOf(spec, shape.depth),
          workgroups: tileWorkgroups(shape, spec.rows, spec.columns),
          body: tiledShader(shape, [{ ...phase, steps: "uniforms.steps" }], {
            wordType: "f32",
            prologue: weight.prologue(spec),
            perElement: (sum) => result(spec, sum(0)),
          }),
        })],
      };
    },
  }));
  return [few, ...tiled];
}

function uniformsOf(spec: WeightOnlySpec, depth: number): Record<string, number> {
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

function result({ bias }: WeightOnlySpec, sum: string): string {
  return `y[row * uniforms.columns + column] = ${sum}${bias ? " + bias[column]" : ""};`;
}
