// The cases of the conformance suite: specs with ragged shapes, their inputs, and how each output is compared.
import type {
  CodeBits,
  DenseLinearSpec,
  KernelSpec,
  QuantizeActivationsSpec,
  QuikLayerSpec,
  QuikLinearSpec,
  ResultOptions,
} from "../../kernels/specs.ts";
import { createRandom, type Random } from "../../quant/mod.ts";
import { codebookCases } from "./_codebook_cases.ts";
import { quantizationCases } from "./_quantization_cases.ts";
import { modelCases } from "./_model_cases.ts";
import { fbgemmCases } from "./_fbgemm_cases.ts";
import { resultCases } from "./_result_cases.ts";
import { codeRows, halfRows, normals, splitColumns, storedNormals } from "./_inputs.ts";

/** How an output must agree with the reference. */
export type Comparison =
  /** Every bit. */
  | "exact"
  /** Within the tolerance times the row's accumulated magnitude. */
  | "float"
  /** Padded rows of float16: as "float", and one unit in the last place more; padding zero. */
  | "halves"
  /** Packed activation codes: equal, or one apart where the value lies on a tie. */
  | "codes"
  /** Results of products in float32, as floats or as codes: every bit on a CPU; as "float" and "codes" on a GPU, which may
   * divide less exactly and fuse a product with a sum. */
  | "requantized";

/** One run of one op. */
export interface Case {
  readonly spec: KernelSpec;
  readonly inputs: readonly ArrayBufferView<ArrayBuffer>[];
  readonly comparisons: readonly Comparison[];
  /** What the outputs hold before the run, for ops that accumulate. */
  readonly initial?: readonly ArrayBufferView<ArrayBuffer>[];
  /** The size of the terms that each output element sums, if it is not the size of the output itself. */
  readonly magnitude?: number;
  /** Largest float error where the spec allows less than float32, instead of the suite's. */
  readonly tolerance?: number;
}

/** Every case, made from one seed. */
export function conformanceCases(seed = 1): Case[] {
  const random = createRandom(seed);
  return [
    ...denseCases(random),
    ...float16Cases(random),
    ...float16InputCases(createRandom(8)),
    ...quantizeCases(random),
    ...integerCases(random),
    ...quikCases(random),
    ...quikLayerCases(random),
    ...codebookCases(random),
    ...modelCases(random),
    ...quantizationCases(random),
    ...fbgemmCases(random),
    ...resultCases(),
  ];
}

function denseCases(random: Random): Case[] {
  const shapes = [[1, 1, 1], [1, 33, 70], [5, 7, 3], [16, 64, 64], [17, 130, 66], [70, 65, 129], [
    3,
    256,
    512,
  ]];
  const types = ["float32", "float16", "bfloat16"] as const;
  return shapes.flatMap(([rows, columns, inner]) =>
    types.map((weightType, i): Case => {
      const bias = (rows + i) % 2 === 0;
      const spec: DenseLinearSpec = { op: "dense_linear", rows, columns, inner, weightType, bias };
      const inputs = [normals(random, rows * inner), storedNormals(random, columns * inner, weightType)];
      if (bias) inputs.push(normals(random, columns));
      return { spec, inputs, comparisons: ["float"], magnitude: inner };
    })
  );
}

/** Values of x that float16 holds, so that rounding them changes nothing; shapes below, at and above a matrix tile. */
export function float16Cases(random: Random): Case[] {
  const shapes = [
    [33, 70, 64],
    [64, 64, 72],
    [150, 140, 136],
    [40, 33, 8],
    [300, 264, 192],
    // Of so few tiles that workgroups divide k.
    [20, 330, 520],
    [70, 192, 1024],
  ];
  return shapes.map(([rows, columns, inner], i): Case => {
    const bias = i % 2 === 0;
    const spec: DenseLinearSpec = {
      op: "dense_linear",
      rows,
      columns,
      inner,
      weightType: "float16",
      bias,
      allowFloat16: true,
    };
    const x = Float32Array.from({ length: rows * inner }, () => random.integer(4097) / 1024 - 2);
    const inputs = [x, storedNormals(random, columns * inner, "float16")];
    if (bias) inputs.push(normals(random, columns));
    return { spec, inputs, comparisons: ["float"], magnitude: inner };
  });
}

/** Inputs in float16, their rows padded or not, and results of all kinds; for one token, a few and many. */
function float16InputCases(random: Random): Case[] {
  const shapes = [[1, 40, 64], [3, 33, 70], [16, 24, 128], [150, 136, 72], [260, 264, 200], [33, 70, 9]];
  const results: readonly ResultOptions[] = [
    {},
    { activation: "silu" },
    { resultType: "float16" },
    { resultType: "float16", activation: "gelu" },
  ];
  const types = ["float16", "float32", "bfloat16"] as const;
  return shapes.flatMap(([rows, columns, inner], s) =>
    results.map((result, i): Case => {
      const bias = (s + i) % 2 === 0;
      const weightType = i < 2 ? "float16" : types[(s + i) % 3];
      const spec: DenseLinearSpec = {
        op: "dense_linear",
        rows,
        columns,
        inner,
        weightType,
        bias,
        inputType: "float16",
        ...result,
      };
      const inputs = [halfRows(random, rows, inner), storedNormals(random, columns * inner, weightType)];
      if (bias) inputs.push(normals(random, columns));
      return {
        spec,
        inputs,
        comparisons: [result.resultType === "float16" ? "halves" : "float"],
        magnitude: inner,
      };
    })
  );
}

function quantizeCases(random: Random): Case[] {
  const shapes = [[1, 2, 0], [1, 70, 6], [3, 256, 16], [17, 130, 130], [5, 34, 0], [9, 1000, 100]];
  const random4And8 = shapes.flatMap(([rows, columns, outliers]) =>
    ([4, 8] as const).map((bits) =>
      quantizeCase(
        random,
        { op: "quantize_activations", rows, columns, outliers, bits },
        normals(random, rows * columns),
      )
    )
  );
  const constant = new Float32Array(3 * 40).fill(1.5);
  const golden = Float32Array.of(-1, -0.875, -0.625, 0, 0.3, 1.125, 2, 2.75);
  const huge = normals(random, 64, 1e6);
  return [
    ...random4And8,
    quantizeCase(
      random,
      { op: "quantize_activations", rows: 3, columns: 40, outliers: 4, bits: 4 },
      constant,
    ),
    quantizeCase(random, { op: "quantize_activations", rows: 1, columns: 8, outliers: 0, bits: 4 }, golden),
    quantizeCase(random, { op: "quantize_activations", rows: 2, columns: 32, outliers: 8, bits: 8 }, huge),
  ];
}

function quantizeCase(random: Random, spec: QuantizeActivationsSpec, x: Float32Array<ArrayBuffer>): Case {
  const { base, outlier } = splitColumns(random, spec.columns, spec.outliers);
  return { spec, inputs: [x, base, outlier], comparisons: ["codes", "float", "exact"] };
}

const CODE_SHAPES = [[1, 1, 2], [1, 65, 130], [2, 3, 34], [16, 64, 128], [17, 70, 62], [
  33,
  129,
  258,
], [
  4,
  66,
  1000,
]];
/** Larger than the largest matrix tile in both directions, and no multiple of it. */
const LARGE = { rows: 300, columns: 264, inner: 290 } as const;
const CODE_BITS: readonly (readonly [CodeBits, CodeBits])[] = [[4, 4], [8, 4], [8, 8]];

function integerCases(random: Random): Case[] {
  return CODE_SHAPES.flatMap(([rows, columns, inner]) =>
    CODE_BITS.map(([activationBits, weightBits]): Case => ({
      spec: { op: "integer_matmul", rows, columns, inner, activationBits, weightBits },
      inputs: [codeRows(random, rows, inner, activationBits), codeRows(random, columns, inner, weightBits)],
      comparisons: ["exact"],
    }))
  ).concat(CODE_BITS.map(([activationBits, weightBits]): Case => ({
    spec: { op: "integer_matmul", ...LARGE, activationBits, weightBits },
    inputs: [
      codeRows(random, LARGE.rows, LARGE.inner, activationBits),
      codeRows(random, LARGE.columns, LARGE.inner, weightBits),
    ],
    comparisons: ["exact"],
  })));
}

function quikCases(random: Random): Case[] {
  return CODE_SHAPES.flatMap(([rows, columns, inner], i) =>
    CODE_BITS.map(([activationBits, weightBits], j) =>
      quikCase(random, {
        op: "quik_linear",
        rows,
        columns,
        inner,
        outliers: [0, 1, 16, 37][(i + j) % 4],
        activationBits,
        weightBits,
        bias: (i + j) % 2 === 0,
      })
    )
  ).concat(
    quikCase(random, {
      op: "quik_linear",
      ...LARGE,
      activationBits: 4,
      weightBits: 4,
      outliers: 37,
      bias: true,
    }),
    // Of so few tiles that workgroups divide k.
    quikCase(random, {
      op: "quik_linear",
      rows: 20,
      columns: 70,
      inner: 1100,
      activationBits: 4,
      weightBits: 4,
      outliers: 16,
      bias: true,
    }),
    // All columns are outliers: no base product at all.
    quikCase(random, {
      op: "quik_linear",
      rows: 5,
      columns: 19,
      inner: 0,
      outliers: 40,
      activationBits: 4,
      weightBits: 4,
      bias: true,
    }),
  );
}

function quikCase(random: Random, spec: QuikLinearSpec): Case {
  const { rows, columns, inner, outliers, activationBits, weightBits } = spec;
  const qparams = normals(random, rows * 2);
  for (let row = 0; row < rows; row++) qparams[row * 2] = 0.01 + random.uniform();
  const inputs = [
    codeRows(random, rows, inner, activationBits),
    qparams,
    halfRows(random, rows, outliers),
    codeRows(random, columns, inner, weightBits),
    Float32Array.from({ length: columns }, () => 0.001 + random.uniform() / 10),
    normals(random, columns),
    halfRows(random, columns, outliers),
  ];
  if (spec.bias) inputs.push(normals(random, columns));
  return { spec, inputs, comparisons: ["float"] };
}

function quikLayerCases(random: Random): Case[] {
  const shapes = [
    [1, 33, 70, 5],
    [2, 17, 64, 0],
    [4, 130, 257, 37],
    [1, 66, 1100, 16],
    [6, 9, 40, 3],
    [1, 7, 21000, 300],
    // More columns than the workgroups of a decode kernel take in one turn; rows that fill its memory.
    [2, 4300, 96, 16],
    [1, 40, 4040, 56],
    [1, 21, 7936, 256],
  ];
  return shapes.flatMap(([rows, columns, inner, outliers], i) =>
    CODE_BITS.map(([activationBits, weightBits], j) =>
      quikLayerCase(random, {
        op: "quik_layer",
        rows,
        columns,
        inner,
        outliers,
        activationBits,
        weightBits,
        bias: (i + j) % 2 === 0,
      })
    )
  );
}

/** Inputs whose levels lie at least a tenth from a tie, so that no rounding of a backend changes a code. */
function untied(
  random: Random,
  { rows, inner, outliers, activationBits }: QuikLayerSpec,
  base: Uint32Array,
): Float32Array<ArrayBuffer> {
  const columns = inner + outliers;
  const top = 2 ** activationBits - 1;
  const x = normals(random, rows * columns);
  for (let row = 0; row < rows; row++) {
    base.forEach((column, k) => {
      const level = k < 2 ? k * top : random.integer(top + 1);
      const aside = level === 0 || level === top ? 0 : 0.8 * random.uniform() - 0.4;
      x[row * columns + column] = (level + aside) / 32 - 2;
    });
  }
  return x;
}

function quikLayerCase(random: Random, spec: QuikLayerSpec): Case {
  const { inner, outliers } = spec;
  const columns = splitColumns(random, inner + outliers, outliers);
  const product = quikCase(random, { ...spec, op: "quik_linear" });
  const inputs = [
    untied(random, spec, columns.base),
    columns.base,
    columns.outlier,
    ...product.inputs.slice(3),
  ];
  return { spec, inputs, comparisons: ["float"] };
}
