// Float8 and the microscaling formats, for weights alone and for weights and activations.
import { float8E4M3, float8E5M2, mxfp4, mxfp6E2M3, mxfp8E4M3, nvfp4 } from "../formats/mod.ts";
import {
  blockFormatActivations,
  blockFormatRounder,
  formatActivations,
  formatRounder,
} from "./format_schemes.ts";
import { perBlock, perChannel, perGroup, perTensor, perToken } from "./granularity.ts";
import type { LinearMethod } from "./method.ts";
import { composeMethod, type Recipe } from "./recipe.ts";

/** Tile of DeepSeek-V3's float8 scales. */
const TILE = 128;

const recipes: readonly Recipe[] = [
  { name: "fp8-w8", rounder: formatRounder({ format: float8E4M3, granularity: perChannel() }) },
  {
    name: "fp8-w8a8",
    rounder: formatRounder({ format: float8E4M3, granularity: perChannel() }),
    activations: formatActivations({ format: float8E4M3, granularity: perToken() }),
  },
  {
    name: "fp8-tensor-w8a8",
    rounder: formatRounder({ format: float8E4M3, granularity: perTensor() }),
    activations: formatActivations({ format: float8E4M3, static: true }),
  },
  {
    name: "fp8-block-w8a8",
    rounder: formatRounder({ format: float8E4M3, granularity: perBlock(TILE, TILE) }),
    activations: formatActivations({ format: float8E4M3, granularity: perGroup(TILE) }),
  },
  {
    name: "fp8-e5m2-w8a8",
    rounder: formatRounder({ format: float8E5M2, granularity: perChannel() }),
    activations: formatActivations({ format: float8E5M2, granularity: perToken() }),
  },
  {
    name: "mxfp8-w8a8",
    rounder: blockFormatRounder(mxfp8E4M3),
    activations: blockFormatActivations(mxfp8E4M3),
  },
  {
    name: "mxfp6-w6a6",
    rounder: blockFormatRounder(mxfp6E2M3),
    activations: blockFormatActivations(mxfp6E2M3),
  },
  { name: "mxfp4-w4", rounder: blockFormatRounder(mxfp4) },
  { name: "mxfp4-w4a8", rounder: blockFormatRounder(mxfp4), activations: blockFormatActivations(mxfp8E4M3) },
  { name: "mxfp4-w4a4", rounder: blockFormatRounder(mxfp4), activations: blockFormatActivations(mxfp4) },
  { name: "nvfp4-w4", rounder: blockFormatRounder(nvfp4) },
  { name: "nvfp4-w4a4", rounder: blockFormatRounder(nvfp4), activations: blockFormatActivations(nvfp4) },
];

/** Float8 and microscaling methods; the name says the bits of weights (w) and activations (a). */
export const formatMethods: readonly LinearMethod[] = recipes.map(composeMethod);
