// How often Dawn is let look at its promises: on a stand-in for its classes, and, where npm:webgpu has a binary, on Dawn
// itself with the backend that runs nothing and needs no GPU.
import { paceTicks } from "../../kernels/webgpu/_dawn_ticks.ts";
import { assert, assertEquals, assertLess } from "@std/assert";

interface Scheduler {
  setImmediate: (callback: () => void) => unknown;
}

const scheduler = globalThis as unknown as Scheduler;

/** A module whose waits take some milliseconds, and which asks for ticks as Dawn's binding does. */
function fakeDawn(milliseconds: number) {
  const count = { ticks: 0 };
  class GPUQueue {
    onSubmittedWorkDone(): Promise<void> {
      const end = performance.now() + milliseconds;
      return new Promise((done) => {
        const tick = () => {
          count.ticks++;
          if (performance.now() >= end) done();
          else scheduler.setImmediate(tick);
        };
        scheduler.setImmediate(tick);
      });
    }
  }
  return { globals: { GPUQueue }, queue: new GPUQueue(), count };
}

Deno.test("paceTicks() lets a long wait ask a hundred times, not a hundred thousand times", async () => {
  const { globals, queue, count } = fakeDawn(300);
  const { setImmediate } = scheduler;
  paceTicks(globals);
  paceTicks(globals);
  const start = performance.now();
  const wait = queue.onSubmittedWorkDone();
  assertEquals(scheduler.setImmediate, setImmediate);
  await wait;
  assertLess(performance.now() - start, 600);
  assertLess(count.ticks, 400);
});

Deno.test("paceTicks() serves a short wait at once, also beside a long one", async () => {
  const long = fakeDawn(300);
  paceTicks(long.globals);
  const end = long.queue.onSubmittedWorkDone();
  await new Promise((done) => setTimeout(done, 100));
  const short = fakeDawn(0);
  paceTicks(short.globals);
  for (let i = 0; i < 100; i++) await short.queue.onSubmittedWorkDone();
  assertEquals(short.count.ticks, 100);
  await end;
});

Deno.test("a program that used Dawn ends by itself", async () => {
  const script = `
    import { paceTicks } from "${new URL("../../kernels/webgpu/_dawn_ticks.ts", import.meta.url)}";
    const dawn = await import(Deno.args[0]).catch(() => undefined);
    if (dawn !== undefined) {
      paceTicks(dawn.globals);
      const gpu = dawn.create(["backend=null"]);
      const adapter = await gpu.requestAdapter();
      const device = await adapter.requestDevice();
      globalThis.alive = [gpu, adapter, device];
      for (let i = 0; i < 2000; i++) await device.queue.onSubmittedWorkDone();
      const module = device.createShaderModule({ code: "@compute @workgroup_size(1) fn main() {}" });
      await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
      await module.getCompilationInfo();
      device.pushErrorScope("validation");
      await device.popErrorScope();
    }
    console.log("DONE");`;
  const file = await Deno.makeTempFile({ suffix: ".js" });
  await Deno.writeTextFile(file, script);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", "--no-lock", file, "npm:webgpu@0.6.2"],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  await Deno.remove(file);
  assert(new TextDecoder().decode(stdout).includes("DONE"), new TextDecoder().decode(stderr));
  assertEquals(code, 0, "it should not have to be killed");
});
