// Where a process spends its CPU, by what perf's samples were in.

import { run } from "../../tools/kafka/libraries.ts";

const FREQUENCY = 499;

/** A frame of a sample, the innermost first. */
export interface Frame {
  readonly symbol: string;
  readonly file: string;
}

/** What a sample is counted as: the first that fits. */
const KERNEL: readonly (readonly [RegExp, string])[] = [
  [
    /sendmsg|__sys_send|vfs_write|do_writev/,
    "kernel: sending to the broker (produce, commit, requests)",
  ],
  [/recvmsg|__sys_recv|vfs_read/, "kernel: receiving from the broker (fetch)"],
  [/epoll|futex|nanosleep/, "kernel: waiting and waking"],
  [/page_fault|madvise|mmap|munmap/, "kernel: pages of memory"],
];

const FETCH = /src\/kafka\/(fetcher|protocol\/fetch|client\/.*fetch)/;
const PRODUCE =
  /src\/kafka\/(transactional_producer|kafka_session|protocol\/(produce|transactions?|txn)|client\/)/;

/** The stage that a sample belongs to. */
export function stageOf(frames: readonly Frame[]): string {
  const { symbol, file } = frames[0]!;
  // A path may hold the name of a library: Deno's own is under .../linux-x64-glibc/ in some places.
  const name = file.slice(file.lastIndexOf("/") + 1);
  if (/^\[(kernel|guest)|^vmlinux/.test(name)) {
    const found = KERNEL.find(([pattern]) => frames.some((frame) => pattern.test(frame.symbol)));
    return found?.[1] ?? "kernel: other";
  }
  if (/wasm-function/.test(symbol)) return "core (WebAssembly)";
  if (/^perf-\d+\.map|^\[JIT\]|^jitted-/.test(name)) return stageOfScript(symbol);
  if (/^libc[.-]|^ld-linux/.test(name)) return "libc (memmove, malloc)";
  return "Deno and V8 (native)";
}

/** By the file that a compiled function is of. */
function stageOfScript(symbol: string): string {
  if (FETCH.test(symbol)) return "JavaScript: fetch";
  if (PRODUCE.test(symbol)) return "JavaScript: produce, commit, connection";
  if (/kafkajs/.test(symbol)) return "JavaScript: kafkajs";
  const room = /src\/(\w+)\//.exec(symbol)?.[1];
  if (room !== undefined) return `JavaScript: src/${room}`;
  if (/ext:|node:/.test(symbol)) return "JavaScript: Deno's own";
  return "JavaScript: other compiled code";
}

/** Samples of `perf script -F ip,sym,dso`, each with its frames. */
export function* samplesIn(text: string): Generator<Frame[]> {
  for (const block of text.split(/\n\s*\n/)) {
    const frames = block.split("\n").flatMap((line) => {
      const found = /^\s+[\da-f]+ (.*) \((.*)\)\s*$/.exec(line);
      return found ? [{ symbol: found[1]!, file: found[2]! }] : [];
    });
    if (frames.length > 0) yield frames;
  }
}

/** Samples of all threads of a process for some seconds, by stage, the largest first. */
export async function profileOf(
  pid: number,
  seconds: number,
): Promise<{ readonly samples: number; readonly shares: [string, number][] }> {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-perf-" });
  try {
    const file = `${folder}/perf.data`;
    const record = ["record", "-q", "-F", String(FREQUENCY), "-g", "-p", String(pid), "-o", file];
    await run("perf", [...record, "--", "sleep", String(seconds)]);
    const text = await run("perf", ["script", "-i", file, "-F", "ip,sym,dso"]);
    const counts = new Map<string, number>();
    let samples = 0;
    for (const frames of samplesIn(text)) {
      const stage = stageOf(frames);
      counts.set(stage, (counts.get(stage) ?? 0) + 1);
      samples++;
    }
    const shares = [...counts].map(([stage, n]): [string, number] => [stage, n / samples]);
    return { samples, shares: shares.toSorted(([, a], [, b]) => b - a) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
