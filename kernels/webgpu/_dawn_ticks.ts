// When Dawn looks whether its promises are settled. Its binding does so in a callback ("tick") that it passes to
// `globalThis.setImmediate` again and again for as long as a promise is pending: some 200,000 times a second. Every tick
// is a new native function with a finalizer, and in Deno 2.9.6 collecting them takes the square of their number: 0.08 s
// for 5,000, 0.28 s for 10,000, 1.07 s for 20,000. `deno test` was seen to collect 370,000 at once, which takes minutes in
// which nothing answers.
//
// So the ticks are spread out here: at once when something was asked of Dawn, then at intervals that grow with the wait.
// `globalThis.setImmediate` is ours only while Dawn's code is on the stack; the rest of the program never sees it.

/** The methods of Dawn's classes that begin to wait for something. */
const WAITS: readonly (readonly [className: string, method: string])[] = [
  ["GPU", "requestAdapter"],
  ["GPUAdapter", "requestDevice"],
  ["GPUDevice", "createComputePipelineAsync"],
  ["GPUDevice", "createRenderPipelineAsync"],
  ["GPUDevice", "popErrorScope"],
  ["GPUQueue", "onSubmittedWorkDone"],
  ["GPUBuffer", "mapAsync"],
  ["GPUShaderModule", "getCompilationInfo"],
];

/** The part of a wait that may pass between two ticks, and so the most by which a wait is prolonged. */
const SHARE = 1 / 8;
/** Shortest and longest time between two ticks, milliseconds. */
const LEAST = 0.02;
const MOST = 4;

type Tick = () => void;
type Method = (this: unknown, ...args: unknown[]) => unknown;
interface Scheduler {
  setImmediate: (callback: (...args: unknown[]) => void, ...args: unknown[]) => unknown;
}

const PACED = Symbol.for("quik.dawn.paced");

/**
 * Spreads the ticks of a loaded Dawn module out, from now on. Doing it twice is doing it once.
 *
 * @param globals The classes of the module, by name.
 */
export function paceTicks(globals: Readonly<Record<string, unknown>>): void {
  const pacer = new Pacer();
  for (const [className, method] of WAITS) {
    const prototype = (globals[className] as { prototype?: Record<string | symbol, unknown> })?.prototype;
    const original = prototype?.[method] as Method & { [PACED]?: true } | undefined;
    if (prototype === undefined || original === undefined || original[PACED]) continue;
    const paced: Method = function (...args) {
      return pacer.ask(() => original.apply(this, args));
    };
    prototype[method] = Object.assign(paced, { [PACED]: true });
  }
}

class Pacer {
  /** What Dawn wants called: one for each of its instances. */
  #ticks: Tick[] = [];
  #asked = 0;
  #due = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #turning = false;

  /** Runs a call that begins a wait. The next tick comes at once. */
  ask<T>(call: () => T): T {
    try {
      return this.#capture(call);
    } finally {
      this.#asked = this.#due = performance.now();
      if (this.#timer !== undefined) {
        clearTimeout(this.#timer);
        this.#timer = undefined;
        this.#turning = false;
      }
      this.#schedule();
    }
  }

  /** Runs Dawn's code and keeps the ticks that it asks for. */
  #capture<T>(run: () => T): T {
    const scheduler = globalThis as unknown as Scheduler;
    const { setImmediate } = scheduler;
    scheduler.setImmediate = (tick, ...args) => {
      this.#ticks.push(() => tick(...args));
    };
    try {
      return run();
    } finally {
      scheduler.setImmediate = setImmediate;
    }
  }

  #schedule(): void {
    if (this.#turning || this.#ticks.length === 0) return;
    this.#turning = true;
    const wait = this.#due - performance.now();
    // Timers count whole milliseconds; for less, the event loop turns, which makes no native function.
    if (wait < 1) (globalThis as unknown as Scheduler).setImmediate(() => this.#turn());
    else this.#timer = setTimeout(() => this.#turn(this.#due), wait);
  }

  #turn(now = performance.now()): void {
    this.#timer = undefined;
    this.#turning = false;
    if (now >= this.#due) {
      this.#due = now + Math.min(Math.max((now - this.#asked) * SHARE, LEAST), MOST);
      for (const tick of this.#ticks.splice(0)) this.#capture(tick);
    }
    this.#schedule();
  }
}
