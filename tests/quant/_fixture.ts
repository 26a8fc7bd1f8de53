// The layer that method tests share: correlated inputs with a few outlier channels, and the calibration of them.
import {
  createMatrix,
  createRandom,
  type LayerCalibration,
  type LinearLayer,
  type Matrix,
} from "@quik/quant/quant";

/** What `createLayerFixture` makes. */
export interface LayerFixtureOptions {
  /** Input features. Default 64. */
  inputs?: number;
  /** Output features. Default 48. */
  outputs?: number;
  /** Rows of inputs. Default `4 * inputs`, so that the Hessian is well conditioned. */
  tokens?: number;
  /** Channels multiplied by `outlierScale`. Default 0. */
  outliers?: number;
  /** How much larger the outlier channels are. Default 20. */
  outlierScale?: number;
  /** Weight distribution: normal, or Student's t with 4 degrees of freedom. Default normal. */
  weights?: "normal" | "t4";
  /** Default 1. */
  seed?: number;
}

/** A layer, inputs to it and their statistics. */
export interface LayerFixture {
  layer: LinearLayer;
  /** `[tokens, inputs]`. */
  inputs: Matrix;
  calibration: LayerCalibration;
  /** Indices of the outlier channels, ascending. */
  outlierChannels: number[];
}

/** `X = Z (I + 0.3 N / sqrt(in))` with some channels enlarged, `W = 0.05 N(0, 1)` or `0.05 t4`. */
export function createLayerFixture(options: LayerFixtureOptions = {}): LayerFixture {
  const {
    inputs: columns = 64,
    outputs = 48,
    outliers = 0,
    outlierScale = 20,
    weights = "normal",
    seed = 1,
  } = options;
  const tokens = options.tokens ?? 4 * columns;
  const random = createRandom(seed);
  const mixing = Float64Array.from(
    { length: columns * columns },
    () => 0.3 * random.normal() / Math.sqrt(columns),
  );
  for (let j = 0; j < columns; j++) mixing[j * columns + j] += 1;
  const inputs = createMatrix(tokens, columns);
  for (let t = 0; t < tokens; t++) {
    const z = Float64Array.from({ length: columns }, () => random.normal());
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let k = 0; k < columns; k++) sum += z[k] * mixing[k * columns + j];
      inputs.data[t * columns + j] = sum;
    }
  }
  const chosen = new Set<number>();
  while (chosen.size < outliers) chosen.add(random.integer(columns));
  for (const j of chosen) {
    for (let t = 0; t < tokens; t++) inputs.data[t * columns + j] *= outlierScale;
  }
  const draw = weights === "normal" ? () => random.normal() : () => {
    let chi = 0;
    for (let i = 0; i < 4; i++) chi += random.normal() ** 2;
    return random.normal() / Math.sqrt(chi / 4);
  };
  const weight = createMatrix(
    outputs,
    columns,
    Float32Array.from({ length: outputs * columns }, () => 0.05 * draw()),
  );
  return {
    layer: { name: "fixture", weight },
    inputs,
    calibration: calibrate(inputs),
    outlierChannels: [...chosen].sort((a, b) => a - b),
  };
}

/** The statistics of inputs, straight from their definitions. */
export function calibrate(inputs: Matrix): LayerCalibration {
  const { data, rows, cols } = inputs;
  const absmax = new Float32Array(cols);
  const meanAbs = new Float32Array(cols);
  const gram = new Float64Array(cols * cols);
  for (let t = 0; t < rows; t++) {
    for (let i = 0; i < cols; i++) {
      const x = data[t * cols + i];
      absmax[i] = Math.max(absmax[i], Math.abs(x));
      meanAbs[i] += Math.abs(x) / rows;
      for (let j = 0; j < cols; j++) gram[i * cols + j] += x * data[t * cols + j];
    }
  }
  const hessian = createMatrix(cols, cols, Float32Array.from(gram, (value) => value * 2 / rows));
  return { absmax, meanAbs, hessian, inputs, tokens: rows };
}

/** `x * w^T` in float64, rounded to float32. */
export function product(x: Matrix, w: Matrix): Matrix {
  const result = createMatrix(x.rows, w.rows);
  for (let t = 0; t < x.rows; t++) {
    for (let o = 0; o < w.rows; o++) {
      let sum = 0;
      for (let k = 0; k < x.cols; k++) sum += x.data[t * x.cols + k] * w.data[o * w.cols + k];
      result.data[t * w.rows + o] = sum;
    }
  }
  return result;
}

/** `||a - b||_F / ||a||_F`. */
export function relativeError(a: Matrix, b: Matrix): number {
  let error = 0;
  let norm = 0;
  for (let i = 0; i < a.data.length; i++) {
    error += (a.data[i] - b.data[i]) ** 2;
    norm += a.data[i] ** 2;
  }
  return Math.sqrt(error / norm);
}

/** The inputs of shape `[rows, cols]`, standard normal. */
export function normalMatrix(rows: number, cols: number, seed = 1): Matrix {
  const random = createRandom(seed);
  return createMatrix(rows, cols, Float32Array.from({ length: rows * cols }, () => random.normal()));
}
