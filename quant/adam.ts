// The Adam optimizer (arXiv 1412.6980) on plain arrays, for the methods that train a little.

/** Options of {@linkcode createAdam}. */
export interface AdamOptions {
  /** Decay of the mean of gradients. Default 0.9. */
  readonly beta1?: number;
  /** Decay of the mean of their squares. Default 0.999. */
  readonly beta2?: number;
  /** Added to the root of the latter. Default 1e-8. */
  readonly epsilon?: number;
}

/** Adam's state for one array of parameters. */
export interface Adam {
  /** Moves the parameters, in place, against the gradient. */
  step(parameters: Float32Array | Float64Array, gradient: ArrayLike<number>, learningRate: number): void;
}

/**
 * Starts Adam for one array of parameters.
 *
 * @param count Number of parameters.
 * @param options Decay rates.
 * @returns The optimizer.
 */
export function createAdam(count: number, options: AdamOptions = {}): Adam {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = options;
  const mean = new Float64Array(count);
  const square = new Float64Array(count);
  let steps = 0;
  return {
    step(parameters, gradient, learningRate): void {
      if (parameters.length !== count || gradient.length !== count) {
        throw new RangeError(
          `Cannot step ${parameters.length} parameters by ${gradient.length} gradients: Adam was made for ${count}`,
        );
      }
      steps++;
      const correction1 = 1 - beta1 ** steps;
      const correction2 = 1 - beta2 ** steps;
      for (let i = 0; i < count; i++) {
        mean[i] = beta1 * mean[i] + (1 - beta1) * gradient[i];
        square[i] = beta2 * square[i] + (1 - beta2) * gradient[i] * gradient[i];
        parameters[i] -= learningRate * (mean[i] / correction1) /
          (Math.sqrt(square[i] / correction2) + epsilon);
      }
    },
  };
}
