// Weight-only methods as recipes: GPTQ, AWQ, HQQ, OmniQuant's clipping, SqueezeLLM, GPTQT, float and NormalFloat grids.
import { float16, float4E2M1, nf3, nf4, type NumberFormat } from "../formats/mod.ts";
import { awqClip, awqScale } from "./awq.ts";
import { formatGrid } from "./format_grid.ts";
import { gptqtGrid } from "./gptqt.ts";
import { hqqRounder } from "./hqq.ts";
import { integerGrid } from "./integer_grid.ts";
import { kMeansGrid } from "./kmeans.ts";
import { learnedRangeRounder } from "./learned_range.ts";
import type { LinearMethod } from "./method.ts";
import { composeMethod, type Recipe } from "./recipe.ts";
import { gptqRounder, nearestRounder } from "./rounders.ts";
import { sparseSplit } from "./sparse_split.ts";

const GROUP = 128, BLOCK = 64;

function asymmetric(bits: number) {
  return { grid: integerGrid({ bits, mapping: "asym" }), groupSize: GROUP };
}

/** A format scaled to the largest weight of a block. */
function blockGrid(format: NumberFormat) {
  return formatGrid({ format, scaleFormat: float16 });
}

/** AWQ's grid; its searches use the same one. */
function awqGrid(bits: number) {
  return { grid: integerGrid({ bits, mapping: "asym-raw" }), groupSize: GROUP };
}

/** GPTQ with the order and groups that keep an inference kernel simple. */
function orderedGptq(grid: ReturnType<typeof awqGrid>) {
  return gptqRounder({ ...grid, actOrder: true, staticGroups: true });
}

const recipes: readonly Recipe[] = [
  ...[4, 3, 2].map((bits) => ({ name: `gptq-w${bits}`, rounder: orderedGptq(asymmetric(bits)) })),
  ...[4, 3].map((bits) => ({
    name: `awq-w${bits}`,
    transforms: [awqScale({ rounder: nearestRounder(awqGrid(bits)) })],
    clip: awqClip({ bits, groupSize: GROUP }),
    rounder: nearestRounder(awqGrid(bits)),
  })),
  {
    name: "awq-gptq-w4",
    transforms: [awqScale({ rounder: nearestRounder(awqGrid(4)) })],
    clip: awqClip({ bits: 4, groupSize: GROUP }),
    rounder: orderedGptq(awqGrid(4)),
  },
  ...[4, 3, 2].map((bits) => ({
    name: `hqq-w${bits}`,
    // Groups of one input column, the default of the authors' package: groups along a row lose the small weights that read
    // large inputs, see HqqOptions.
    rounder: hqqRounder({ bits, groupSize: BLOCK, groupAxis: "outputs" }),
  })),
  ...[4, 3, 2].map((bits) => ({
    name: `omniquant-w${bits}`,
    rounder: learnedRangeRounder({ bits, groupSize: GROUP }),
  })),
  ...[4, 3, 2].map((bits) => ({
    name: `squeezellm-w${bits}`,
    split: sparseSplit(),
    rounder: nearestRounder({ grid: kMeansGrid({ bits }) }),
  })),
  ...[3, 2].map((bits) => ({ name: `gptqt-w${bits}`, rounder: gptqRounder({ grid: gptqtGrid({ bits }) }) })),
  { name: "nf4", rounder: nearestRounder({ grid: blockGrid(nf4), groupSize: BLOCK }) },
  { name: "gptq-nf4", rounder: gptqRounder({ grid: blockGrid(nf4), groupSize: BLOCK, staticGroups: true }) },
  { name: "gptq-nf3", rounder: gptqRounder({ grid: blockGrid(nf3), groupSize: BLOCK, staticGroups: true }) },
  {
    name: "gptq-fp4",
    rounder: gptqRounder({ grid: blockGrid(float4E2M1), groupSize: BLOCK, staticGroups: true }),
  },
  {
    name: "sparsegpt-2of4-w4",
    rounder: gptqRounder({ grid: integerGrid({ bits: 4, clip: true }), sparsity: { zeros: 2, of: 4 } }),
  },
];

/** Weight-only methods: activations stay in 16 bits. */
export const weightOnlyMethods: readonly LinearMethod[] = recipes.map(composeMethod);
