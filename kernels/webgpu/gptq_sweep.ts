// GPTQ's sweep in blocks of columns: within a block one invocation walks along one row, whose weights it keeps in
// workgroup memory; then all columns behind the block lose the product of the block's errors with the factor's rows.
import type { GptqSweepSpec } from "../quantization_specs.ts";
import { packedRowBytes } from "../specs.ts";
import { floatRowsOperand } from "./_operands.ts";
import { multiplyFloat, type Operand, tiledShader, type TileShape, tileWorkgroups } from "./_tile.ts";
import { TILE_SHAPES, tileFits, tileSuits } from "./_tile_variants.ts";
import {
  type ComputePass,
  definePass,
  input,
  type KernelProgram,
  type KernelVariant,
  LINEAR_WORKGROUP,
  linearMain,
  linearWorkgroups,
  output,
  scratch,
} from "./program.ts";

/** Columns of a block. */
const BLOCK = 64;
/** Rows of a workgroup. */
const ROWS = 32;
/** Columns that the inner loop takes at once, since a loop costs as much as a few of them. */
const UNROLL = 4;

/** Where the tables lie in one scratch buffer, in words: a device need not bind more than eight buffers at once. */
function placesOf({ bits, base }: GptqSweepSpec): Record<"codes" | "levels" | "groups" | "end", number> {
  const count = 2 ** bits;
  return { codes: count, levels: 2 * count, groups: 3 * count, end: 3 * count + base };
}

/** Puts the tables of the format and the groups of the columns together. */
function tablesPass(spec: GptqSweepSpec): ComputePass {
  const { codes, levels, groups, end } = placesOf(spec);
  return definePass({
    bindings: [
      input(1, "column_groups", "array<u32>"),
      input(4, "thresholds", "array<u32>"),
      input(5, "code_table", "array<u32>"),
      input(6, "levels", "array<u32>"),
      scratch(1, "tables", "array<u32>", "write"),
    ],
    uniforms: { end },
    workgroups: linearWorkgroups(Math.ceil(end / 256)),
    body: `
${linearMain(256)}
  let i = ${LINEAR_WORKGROUP} * 256u + local;
  if (i >= uniforms.end) { return; }
  if (i < ${codes - 1}u) { tables[i] = thresholds[i]; }
  else if (i >= ${groups}u) { tables[i] = column_groups[i - ${groups}u]; }
  else if (i >= ${levels}u) { tables[i] = levels[i - ${levels}u]; }
  else if (i >= ${codes}u) { tables[i] = code_table[i - ${codes}u]; }
}`,
  });
}

/** Rounds one block of columns and leaves its errors. */
function blockPass(spec: GptqSweepSpec, start: number): ComputePass {
  const { rows, columns, base, groups, bits } = spec;
  const places = placesOf(spec);
  return definePass({
    bindings: [
      input(0, "factor", "array<f32>"),
      input(2, "scales", "array<f32>"),
      input(3, "zeros", "array<f32>"),
      scratch(1, "tables", "array<u32>", "read"),
      output(0, "weight", "array<f32>"),
      output(1, "codes", "array<u32>"),
      output(2, "loss", "array<f32>"),
      scratch(0, "errors", "array<f32>", "write"),
    ],
    uniforms: {
      rows,
      columns,
      groups,
      start,
      width: Math.min(BLOCK, base - start),
      code_words: packedRowBytes(base, 8) / 4,
    },
    workgroups: linearWorkgroups(Math.ceil(rows / ROWS)),
    body: `
var<workgroup> line: array<f32, ${(BLOCK + UNROLL) * ROWS}>;

fn encode(value: f32) -> u32 {
  var count = 0u;
  for (var step = ${2 ** (bits - 1)}u; step > 0u; step >>= 1u) {
    if (bitcast<f32>(tables[count + step - 1u]) <= value) { count += step; }
  }
  return tables[${places.codes}u + count];
}

${linearMain(ROWS)}
  let row0 = ${LINEAR_WORKGROUP} * ${ROWS}u;
  let row = row0 + local;
  for (var i = local; i < ${BLOCK * ROWS}u; i += ${ROWS}u) {
    let from_row = min(row0 + i / ${BLOCK}u, uniforms.rows - 1u);
    let column = min(uniforms.start + i % ${BLOCK}u, uniforms.columns - 1u);
    line[i % ${BLOCK}u * ${ROWS}u + i / ${BLOCK}u] = weight[from_row * uniforms.columns + column];
  }
  workgroupBarrier();
  if (row >= uniforms.rows) { return; }
  var squares = 0.0;
  var word = 0u;
  for (var k = 0u; k < uniforms.width; k++) {
    let column = uniforms.start + k;
    let factor_row = column * uniforms.columns + uniforms.start;
    let group = row * uniforms.groups + tables[${places.groups}u + column];
    let value = line[k * ${ROWS}u + local];
    let code = encode(value / scales[group] + zeros[group]);
    let rounded = (bitcast<f32>(tables[${places.levels}u + code]) - zeros[group]) * scales[group];
    let error = (value - rounded) / factor[factor_row + k];
    weight[row * uniforms.columns + column] = rounded;
    errors[row * ${BLOCK}u + k] = error;
    squares += error * error;
    word |= code << (k % 4u * 8u);
    if (k % 4u == 3u || k + 1u == uniforms.width) {
      codes[row * uniforms.code_words + column / 4u] = word;
      word = 0u;
    }
    // Places behind the block are spoiled here and not used.
    for (var j = k + 1u; j < uniforms.width; j += ${UNROLL}u) {
      ${
      Array.from(
        { length: UNROLL },
        (_, u) => `line[(j + ${u}u) * ${ROWS}u + local] -= error * factor[factor_row + j + ${u}u];`,
      ).join("\n      ")
    }
    }
  }
  for (var k = uniforms.width; k < ${BLOCK}u; k++) { errors[row * ${BLOCK}u + k] = 0.0; }
  if (uniforms.start == 0u) { loss[row] = 0.5 * squares; } else { loss[row] += 0.5 * squares; }
  ${start + BLOCK >= base ? padCodes() : ""}
}`,
  });
}

function padCodes(): string {
  return `for (var w = (uniforms.start + uniforms.width + 3u) / 4u; w < uniforms.code_words; w++) {
    codes[row * uniforms.code_words + w] = 0u;
  }`;
}

/** Columns of the factor from `uniforms.first` on, as rows of an operand. */
const factorOperand: Operand = {
  declarations: `
fn factor_at(k: u32, column: u32) -> f32 {
  let at = min(uniforms.start + k, uniforms.width - 1u) * uniforms.width + uniforms.first + column;
  return factor[min(at, uniforms.width * uniforms.width - 1u)];
}
fn fetch_factor(column: u32, unit: u32) -> vec4<f32> {
  let k = unit * 4u;
  return vec4<f32>(factor_at(k, column), factor_at(k + 1u, column), factor_at(k + 2u, column),
    factor_at(k + 3u, column));
}`,
  type: "vec4<f32>",
  fetch: (row, unit) => `fetch_factor(${row}, ${unit})`,
  expand: [(value) => value],
};

/** Spreads the errors of the block at `start` over the columns from `first` on. */
function spreadPass(spec: GptqSweepSpec, shape: TileShape, start: number, first: number): ComputePass {
  const { rows, columns } = spec;
  const errors = floatRowsOperand({ buffer: "errors", rows: "uniforms.rows" }, "float32", BLOCK);
  return definePass({
    bindings: [
      scratch(0, "errors", errors.binding, "read"),
      input(0, "factor", "array<f32>"),
      output(0, "weight", "array<f32>"),
    ],
    uniforms: {
      rows,
      columns: columns - first,
      inner: BLOCK,
      width: columns,
      start,
      first,
      steps: BLOCK / 4 / shape.depth,
    },
    workgroups: tileWorkgroups(shape, rows, columns - first),
    body: tiledShader(shape, [{
      left: errors.operand,
      right: factorOperand,
      steps: "uniforms.steps",
      accumulator: "acc",
      accumulatorType: "f32",
      multiply: multiplyFloat,
    }], {
      wordType: "f32",
      perElement: (sum) => `weight[row * uniforms.width + uniforms.first + column] -= ${sum(0)};`,
    }),
  });
}

function program(spec: GptqSweepSpec, shape: TileShape): KernelProgram {
  const passes = [tablesPass(spec)];
  for (let start = 0; start < Math.max(spec.base, 1); start += BLOCK) {
    passes.push(blockPass(spec, start));
    const first = Math.min(start + BLOCK, spec.base);
    if (first < spec.columns) passes.push(spreadPass(spec, shape, start, first));
  }
  return { passes, scratch: [spec.rows * BLOCK * 4, placesOf(spec).end * 4] };
}

/** Variants of `gptq_sweep`. */
export const gptqSweepVariants: readonly KernelVariant<GptqSweepSpec>[] = TILE_SHAPES.map((
  [name, shape],
) => ({
  name,
  supports: (_spec, capabilities) => tileFits(shape, capabilities),
  suits: ({ rows, columns }) => tileSuits(shape, rows, columns),
  generate: (spec) => program(spec, shape),
}));
