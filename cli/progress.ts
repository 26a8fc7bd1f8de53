// Progress on standard error for whatever takes longer than a second, with the time left.
import process from "node:process";
import cliProgress from "cli-progress";

/** A progress bar that shows itself only when the work takes long. */
export interface Progress extends Disposable {
  /** Whether standard error is a terminal that shows it; a log may want lines instead. */
  readonly visible: boolean;
  /** Says how far the work is, and perhaps what is being done now. */
  update(done: number, total: number, label?: string): void;
}

const PATIENCE_MS = 1000;

/**
 * Starts a progress bar.
 *
 * @param label What is being done.
 * @returns The bar; disposing it removes it from the terminal.
 */
export function startProgress(label: string): Progress {
  const started = performance.now();
  let bar: cliProgress.SingleBar | undefined;
  return {
    visible: process.stderr.isTTY === true,
    update(done: number, total: number, current = label): void {
      if (!bar) {
        if (performance.now() - started < PATIENCE_MS) return;
        bar = new cliProgress.SingleBar({
          format: "{label} {bar} {percentage}% | {value}/{total} | {eta_formatted} left",
          barsize: 24,
          clearOnComplete: true,
          hideCursor: true,
          stream: process.stderr,
          etaBuffer: 20,
        }, cliProgress.Presets.shades_classic);
        bar.start(total, done, { label: current });
      }
      bar.setTotal(total);
      bar.update(done, { label: current });
    },
    [Symbol.dispose](): void {
      bar?.stop();
    },
  };
}
