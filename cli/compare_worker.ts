// One of several threads that measure methods for `quik compare`: it is given the calibration once, then method by method.
import { type Backend, type BackendChoice, chooseBackend, createWasmBackend } from "../kernels/mod.ts";
import {
  amplifyCheckpoint,
  type ComparisonRow,
  loadModel,
  MethodBench,
  type ModelMethod,
  type ObservedLayer,
} from "../models/mod.ts";
import { chooseMethods } from "./method_choice.ts";

/** What a thread needs to know before its first method. Calibration is done once, elsewhere. */
export interface BenchSetup {
  /** Directory of the checkpoint. */
  readonly directory: string;
  /** Whether outlier channels are made first. */
  readonly amplify: boolean;
  /** The backend to compute on. */
  readonly backend: BackendChoice;
  /** Threads of the backend, where it has threads. */
  readonly threads: number;
  /** `--methods` and `--method-file`: methods cannot be sent, so each thread looks them up. */
  readonly methods: readonly [names: string, files: readonly string[]];
  /** Every layer with its statistics. */
  readonly layers: readonly Omit<ObservedLayer, "slot">[];
  /** Token ids of the calibration windows. */
  readonly calibration: readonly Uint32Array<ArrayBuffer>[];
  /** Token ids of the text. */
  readonly ids: Uint32Array<ArrayBuffer>;
  /** Tokens of a window. */
  readonly window: number;
  /** Windows to evaluate. */
  readonly windows: number;
}

/** What a thread is sent: its setup, then methods by their place in the list. */
export type WorkerTask = { readonly setup: BenchSetup } | { readonly index: number };

/** What a thread sends back. */
export type WorkerReport =
  | { readonly kind: "ready" }
  | { readonly kind: "part"; readonly index: number; readonly part: number }
  | { readonly kind: "row"; readonly index: number; readonly row: ComparisonRow }
  | { readonly kind: "failed"; readonly message: string };

interface WorkerScope {
  onmessage: ((event: MessageEvent<WorkerTask>) => void) | null;
  postMessage(report: WorkerReport): void;
}

const scope = globalThis as unknown as WorkerScope;
let bench: MethodBench;
let methods: readonly ModelMethod[];

scope.onmessage = async ({ data }) => {
  try {
    if ("setup" in data) {
      await start(data.setup);
      return scope.postMessage({ kind: "ready" });
    }
    const { index } = data;
    const onPart = (part: number): void => scope.postMessage({ kind: "part", index, part });
    scope.postMessage({ kind: "row", index, row: await bench.measure(methods[index], { onPart }) });
  } catch (error) {
    scope.postMessage({ kind: "failed", message: (error as Error).message });
  }
};

/** The model and its backend live as long as the thread. */
async function start(setup: BenchSetup): Promise<void> {
  const { directory, amplify, layers } = setup;
  methods = await chooseMethods(...setup.methods);
  const backend = await createBackend(setup);
  const model = await loadModel(amplify ? await amplifyCheckpoint(directory) : directory, { backend });
  bench = await MethodBench.create(model, {
    ...setup,
    layers: layers.map((layer) => ({ ...layer, slot: model.linears.get(layer.layer.name)! })),
  });
}

async function createBackend({ backend, threads }: BenchSetup): Promise<Backend> {
  if (backend === "wasm") return await createWasmBackend({ threads });
  return (await chooseBackend(backend)).backend;
}
