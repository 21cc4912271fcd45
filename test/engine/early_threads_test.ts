import { assertEquals } from "@std/assert";
import { EarlyThreads, type Thread } from "../../src/engine/threads/early_threads.ts";
import type { CoreOptions } from "../../src/wasm/mod.ts";

const ENTRY = new URL("file:///thread.ts");
const CORE = { format: "text" } as unknown as CoreOptions;

class FakeThread implements Thread {
  onmessage: Thread["onmessage"] = null;
  onmessageerror: Thread["onmessageerror"] = null;
  onerror: Thread["onerror"] = null;
  readonly posted: unknown[] = [];
  isOver = false;

  constructor(readonly name: string) {}

  postMessage(message: unknown): void {
    this.posted.push(message);
  }

  terminate(): void {
    this.isOver = true;
  }

  fail(): boolean {
    const event = new ErrorEvent("error", { cancelable: true });
    this.onerror!.call(this as unknown as Worker, event);
    return event.defaultPrevented;
  }
}

function begin(count: number) {
  const started: FakeThread[] = [];
  const start = (name: string) => started[started.push(new FakeThread(name)) - 1]!;
  const early = new EarlyThreads(ENTRY, count, CORE, start);
  /** The number of the thread that is given. */
  const take = (name: string, entry: URL) => started.indexOf(early.take(name, entry) as FakeThread);
  return { started, early, take };
}

Deno.test("a thread that was started early is that of the worker with its name, once; what nobody takes is ended", async () => {
  const { started, early, take } = begin(3);
  for (let hop = 0; hop < 100; hop++) await null;
  const prepared = [[{ kind: "call", id: 0, method: "prepare", args: [CORE] }]];
  assertEquals(started.map(({ posted }) => posted), [prepared, prepared, prepared]);
  assertEquals(take("Worker 1", new URL(ENTRY)), 1);
  assertEquals(take("Worker 0", ENTRY), 0);
  assertEquals([started[0]!.onerror, started[1]!.onerror], [null, null]);
  // It crashed: another one takes its place.
  assertEquals(take("Worker 0", ENTRY), 3);
  assertEquals(take("Worker 2", new URL("file:///other.ts")), 4);
  early.close();
  assertEquals(started.map(({ isOver }) => isOver), [false, false, true, false, false]);
  assertEquals(take("Worker 2", ENTRY), 5);
  assertEquals(started.map(({ name }) => name.at(-1)), ["0", "1", "2", "0", "2", "2"]);
});

Deno.test("a thread that fails before it has work is started again by who needs it", () => {
  const { started, early, take } = begin(1);
  assertEquals(started[0]!.fail(), true);
  assertEquals(started[0]!.isOver, true);
  assertEquals(take("Worker 0", ENTRY), 1);
  early.close();
  assertEquals(started[1]!.isOver, false);
});
