// What a Java process keeps in its heap.

import { run } from "../../tools/kafka/libraries.ts";

/** Bytes of the objects that are in use: collects the garbage first. */
export async function heapBytes(pid: number): Promise<number> {
  // Twice: what only the first collection makes free goes with the second.
  for (let i = 0; i < 2; i++) await run("jcmd", [String(pid), "GC.run"]);
  return usedOf(await run("jcmd", [String(pid), "GC.heap_info"]));
}

/** Bytes in use by the generations of ParallelGC, as jcmd shows them. */
export function usedOf(heapInfo: string): number {
  const used = [...heapInfo.matchAll(/^\s*(?:PSYoungGen|ParOldGen)\b.* used (\d+)K/gm)];
  if (used.length !== 2) throw new Error(`Not the heap of ParallelGC: ${heapInfo}`);
  return used.reduce((n, [, kibibytes]) => n + 1024 * Number(kibibytes), 0);
}
