// FBGEMM's static 8-bit pipeline: activations become codes, the codes' exact product is corrected by row and column
// sums, and the sums become floats, or codes again in a last pass, since four neighbors share a word.
import type { AffineLinearSpec } from "../fbgemm_specs.ts";
import { packedRowBytes } from "../specs.ts";
import { integerUniforms, integerUnitVectors, rowIntegerPhase, tiledIntegerPhase } from "./_integer_phase.ts";
import { rowBlock, rowShader, rowWorkgroups } from "./_rows.ts";
import { tiledShader, type TileShape, tileWorkgroups } from "./_tile.ts";
import { fewRowsAndTiles } from "./_tile_variants.ts";
import {
  type Binding,
  type ComputePass,
  definePass,
  input,
  type KernelProgram,
  LINEAR_WORKGROUP,
  linearMain,
  linearWorkgroups,
  output,
  scratch,
} from "./program.ts";

/** Numbers of the scratch buffers. */
const CODES = 0;
const ROW_SUMS = 1;
const COLUMN_TERMS = 2;
const REAL = 3;

/** Codes less 128, which fit int8, and their sum over each row. One workgroup takes one row. */
function quantizePass({ rows, inner }: AffineLinearSpec): ComputePass {
  const value = (i: number): string =>
    `select(0, code(x[start + min(k + ${i}u, uniforms.inner - 1u)]), k + ${i}u < uniforms.inner)`;
  return definePass({
    bindings: [
      input(0, "x", "array<f32>"),
      input(1, "qparams", "array<f32>"),
      scratch(CODES, "codes", "array<u32>", "write"),
      scratch(ROW_SUMS, "row_sums", "array<i32>", "write"),
    ],
    uniforms: { rows, inner, words: packedRowBytes(inner, 8) / 4 },
    workgroups: linearWorkgroups(rows),
    body: `
var<workgroup> total: atomic<i32>;
fn code(value: f32) -> i32 {
  return i32(clamp(round(value / qparams[0]) + qparams[1], 0.0, 255.0)) - 128;
}
${linearMain(256)}
  let row = ${LINEAR_WORKGROUP};
  if (row >= uniforms.rows) { return; }
  // Explicitly, since Dawn is asked not to clear workgroup memory.
  if (local == 0u) { atomicStore(&total, 0); }
  workgroupBarrier();
  let start = row * uniforms.inner;
  var sum = 0;
  for (var word = local; word < uniforms.words; word += 256u) {
    let k = word * 4u;
    let four = vec4<i32>(${[0, 1, 2, 3].map(value).join(", ")});
    sum += four.x + four.y + four.z + four.w;
    let bytes = bitcast<vec4<u32>>(four) & vec4<u32>(255u);
    codes[row * uniforms.words + word] = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
  }
  atomicAdd(&total, sum);
  workgroupBarrier();
  if (local == 0u) { row_sums[row] = atomicLoad(&total); }
}`,
  });
}

/**
 * What the product needs of each column, put together because a device may bind no more than eight buffers: the factor
 * of its sums, its zero point, the part of the correction that rows share, and its bias.
 */
function columnPass({ columns, inner, bias }: AffineLinearSpec): ComputePass {
  return definePass({
    bindings: [
      input(1, "qparams", "array<f32>"),
      input(3, "weight_scale", "array<f32>"),
      input(4, "weight_zero", "array<i32>"),
      input(5, "column_offsets", "array<i32>"),
      ...(bias ? [input(6, "bias", "array<f32>")] : []),
      scratch(COLUMN_TERMS, "terms", "array<vec4<i32>>", "write"),
    ],
    uniforms: { columns, inner },
    workgroups: linearWorkgroups(Math.ceil(columns / 256)),
    body: `${linearMain(256)}
  let column = ${LINEAR_WORKGROUP} * 256u + local;
  if (column >= uniforms.columns) { return; }
  let shift = 128 - i32(qparams[1]);
  let zero = weight_zero[column];
  terms[column] = vec4<i32>(
    bitcast<i32>(qparams[0] * weight_scale[column]),
    zero,
    shift * (column_offsets[column] - zero * i32(uniforms.inner)),
    bitcast<i32>(${bias ? "bias[column]" : "0.0"}),
  );
}`,
  });
}

/** The product with its correction: `sum((q - z)(w - wz))`, where the codes hold `q - 128`. */
function productPass(spec: AffineLinearSpec, target: Binding, shape: TileShape | undefined): ComputePass {
  const { rows, columns, inner } = spec;
  const integers = { inner, activationBits: 8, weightBits: 8 } as const;
  const depth = shape?.depth ?? integerUnitVectors(integers);
  const store = (sum: (phase: number) => string): string =>
    `let term = terms[column];
          let real = f32(${sum(0)} - term.y * row_sums[row] + term.z) * bitcast<f32>(term.x);
          y[row * uniforms.columns + column] = real${spec.bias ? " + bitcast<f32>(term.w)" : ""};`;
  return definePass({
    bindings: [
      scratch(CODES, "left", "array<vec4<u32>>", "read"),
      input(2, "right", "array<vec4<u32>>"),
      scratch(ROW_SUMS, "row_sums", "array<i32>", "read"),
      scratch(COLUMN_TERMS, "terms", "array<vec4<i32>>", "read"),
      target,
    ],
    uniforms: { rows, columns, ...integerUniforms(integers, depth) },
    workgroups: shape ? tileWorkgroups(shape, rows, columns) : rowWorkgroups(columns),
    body: shape
      ? tiledShader(shape, [tiledIntegerPhase(integers)], { wordType: "u32", perElement: store })
      : rowShader(rowBlock(rows), [rowIntegerPhase(integers)], store),
  });
}

/** Floats to codes, four to a word; the padding of a row is zeros. */
function requantizePass({ rows, columns }: AffineLinearSpec): ComputePass {
  const words = packedRowBytes(columns, 8) / 4;
  const code = (i: number): string =>
    `(select(0u, code(real[start + min(column + ${i}u, uniforms.columns - 1u)]), column + ${i}u < uniforms.columns) << ${
      8 * i
    }u)`;
  return definePass({
    bindings: [
      scratch(REAL, "real", "array<f32>", "read"),
      input(1, "qparams", "array<f32>"),
      output(0, "y", "array<u32>"),
    ],
    uniforms: { columns, words, count: rows * words },
    workgroups: linearWorkgroups(Math.ceil(rows * words / 256)),
    body: `
fn code(value: f32) -> u32 {
  return u32(clamp(round(value / qparams[2]) + qparams[3], 0.0, 255.0));
}
${linearMain(256)}
  let i = ${LINEAR_WORKGROUP} * 256u + local;
  if (i >= uniforms.count) { return; }
  let start = i / uniforms.words * uniforms.columns;
  let column = i % uniforms.words * 4u;
  y[i] = ${[0, 1, 2, 3].map(code).join("\n    | ")};
}`,
  });
}

function program(spec: AffineLinearSpec, shape?: TileShape): KernelProgram {
  const { rows, columns, inner } = spec;
  const sizes = [rows * packedRowBytes(inner, 8), rows * 4, columns * 16];
  const first = [quantizePass(spec), columnPass(spec)];
  if (spec.outputType === "float32") {
    return { passes: [...first, productPass(spec, output(0, "y", "array<f32>"), shape)], scratch: sizes };
  }
  const real = scratch(REAL, "y", "array<f32>", "write");
  return {
    passes: [...first, productPass(spec, real, shape), requantizePass(spec)],
    scratch: [...sizes, rows * columns * 4],
  };
}

/** Variants of `affine_linear`. */
export const affineLinearVariants = fewRowsAndTiles<AffineLinearSpec>(program);
