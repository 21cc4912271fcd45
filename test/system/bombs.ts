// Bodies that are made to stop a service or to fill its memory, thrown at the real one: does /livez answer all the
// while, and how much memory does it take?
//
//   deno task bombs [--cgroup-mib=1024]

import { commandLine } from "../../tools/kit/command_line.ts";
import { makeCgroup } from "./cgroup.ts";
import type { ProbeReport } from "./livez_probe.ts";
import { type Service, startService, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";

const MIB = 1024 * 1024;
/** As many as http.body.records.max allows. */
const RECORDS = 100_000;
const STALLED = 200;
const STALLED_MS = 3000;

/** Bytes to post, and what is said of them. */
interface Bomb {
  readonly type: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: () => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>;
}

const TEXT = "text/plain";
const JSON_TYPE = "application/json";
const utf8 = (text: string) => new TextEncoder().encode(text);
/** A text, repeated to so many bytes. */
const filled = (text: string, bytes: number) => utf8(text.repeat(Math.floor(bytes / text.length)));

function repeated(bytes: readonly number[], length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => bytes[i % bytes.length]!);
}

async function gzipped(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return await new Response(stream).bytes();
}

const GZIP = { "content-encoding": "gzip" };
const lines = (line: (n: number) => string) =>
  utf8(Array.from({ length: RECORDS }, (_, n) => line(n)).join("\n"));

const BOMBS: Readonly<Record<string, Bomb>> = {
  "1 MiB of newlines": { type: TEXT, body: () => filled("\n", MIB) },
  "8 MiB of newlines": { type: TEXT, body: () => filled("\n", 8 * MIB) },
  "8 MiB of [1,1,...]": {
    type: JSON_TYPE,
    body: () => utf8(`[${"1,".repeat(4 * MIB - 2)}1]`),
  },
  "8 MiB of [[[[": { type: JSON_TYPE, body: () => filled("[", 8 * MIB) },
  "8 MiB of 0xff and newlines": { type: TEXT, body: () => repeated([0xff, 10], 8 * MIB) },
  "2 million short queries": {
    type: TEXT,
    path: "/queries",
    body: () => filled("1 a\n", 8 * MIB),
  },
  "100,000 empty lines": { type: TEXT, body: () => filled("\n", RECORDS) },
  "100,000 lines that are not UTF-8": { type: TEXT, body: () => repeated([0xff, 10], 2 * RECORDS) },
  "100,000 times [1,1,...]": {
    type: JSON_TYPE,
    body: () => utf8(`[${"1,".repeat(RECORDS - 1)}1]`),
  },
  "8 MiB of JSON objects with unknown members": {
    type: "application/x-ndjson",
    body: () => filled(`{${'"a":1,'.repeat(2000)}"b":2}\n`, 8 * MIB),
  },
  "100,000 short queries": { type: TEXT, path: "/queries", body: () => lines(() => "1 a") },
  "100,000 transactions of as many items": {
    type: TEXT,
    body: () => lines((n) => `${n}\t1\titem_${n}\t1`),
  },
  "8 MiB of zeros as gzip": {
    type: TEXT,
    headers: GZIP,
    body: () => gzipped(new Uint8Array(8 * MIB)),
  },
  "64 MiB of newlines as gzip": {
    type: TEXT,
    headers: GZIP,
    body: () => gzipped(filled("\n", 64 * MIB)),
  },
};

export interface Outcome {
  readonly name: string;
  /** What was answered, and how often. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly ms: number;
  readonly probe: ProbeReport;
  /** The most that the service held meanwhile, in bytes. */
  readonly peakBytes: number;
}

export interface BombsVerdict {
  readonly outcomes: readonly Outcome[];
  readonly longestMs: number;
  readonly failures: number;
  /** The most that the service held, in bytes (VmHWM). */
  readonly peakBytes: number;
  /** The same of its cgroup, where pages of its files count as well; null without one. */
  readonly cgroupPeakBytes: number | null;
}

async function throwOne({ url }: Service, bomb: Bomb): Promise<string> {
  const { type, path = "/transactions", headers = {}, body } = bomb;
  const answer = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": type, ...headers },
    body: await body(),
  });
  await answer.bytes();
  return String(answer.status);
}

/** The status of the answer on a connection, or how it ended. */
async function statusOf(connection: Deno.Conn): Promise<string> {
  const bytes = new Uint8Array(1000);
  const read = await connection.read(bytes).catch(() => null);
  const text = new TextDecoder().decode(bytes.subarray(0, read ?? 0));
  return /^HTTP\/1.1 (\d+)/.exec(text)?.[1] ?? "closed";
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** Connections that send all of their body but the last byte, and then wait. */
async function stall({ url }: Service): Promise<string[]> {
  const body = filled("1\t1\titem\t1\n", 8 * MIB);
  const head = utf8(
    `POST /transactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${TEXT}\r\ncontent-length: ${
      body.length + 1
    }\r\n\r\n`,
  );
  const port = Number(new URL(url).port);
  const connections = await Promise.all(
    Array.from({ length: STALLED }, () => Deno.connect({ hostname: "127.0.0.1", port })),
  );
  const statuses = connections.map(statusOf);
  await Promise.all(
    connections.map(async (connection) => {
      await writeAll(connection, head);
      await writeAll(connection, body);
    }).map((written) => written.catch(() => {})),
  );
  await new Promise((resolve) => setTimeout(resolve, STALLED_MS));
  const open = "open";
  const now = await Promise.all(statuses.map((s) => Promise.race([s, Promise.resolve(open)])));
  for (const connection of connections) connection.close();
  await Promise.all(statuses);
  return now;
}

/** A body in chunks of one byte each. */
async function drip({ url }: Service, chunks: number): Promise<string[]> {
  const connection = await Deno.connect({
    hostname: "127.0.0.1",
    port: Number(new URL(url).port),
  });
  try {
    const status = statusOf(connection);
    await writeAll(
      connection,
      utf8(
        `POST /queries HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${TEXT}\r\ntransfer-encoding: chunked\r\n\r\n`,
      ),
    );
    await writeAll(
      connection,
      utf8("1\r\n1\r\n1\r\n \r\n1\r\na\r\n1\r\n\n\r\n".repeat(chunks / 4)),
    );
    await writeAll(connection, utf8("0\r\n\r\n"));
    return [await status];
  } finally {
    connection.close();
  }
}

/** Answers of 100,000 queries that nobody reads. */
async function leaveUnread({ url }: Service): Promise<string[]> {
  const body = lines(() => `1 ${"a".repeat(60)}`);
  const head = utf8(
    `POST /queries HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${TEXT}\r\ncontent-length: ${body.length}\r\n\r\n`,
  );
  const port = Number(new URL(url).port);
  const connections = await Promise.all(
    Array.from({ length: 20 }, () => Deno.connect({ hostname: "127.0.0.1", port })),
  );
  await Promise.all(
    connections.map(async (connection) => {
      await writeAll(connection, head);
      await writeAll(connection, body);
    }).map((written) => written.catch(() => {})),
  );
  await new Promise((resolve) => setTimeout(resolve, STALLED_MS));
  const statuses = await Promise.all(connections.map(statusOf));
  for (const connection of connections) connection.close();
  return statuses;
}

type Throw = (service: Service) => Promise<string[]>;

/** What is thrown: every bomb alone, and eight of it at once. */
function throwsOf(quick: boolean): [string, Throw][] {
  const bombs = Object.entries(BOMBS).flatMap(([name, bomb]): [string, Throw][] => {
    const many = (service: Service) =>
      Promise.all(Array.from({ length: 8 }, () => throwOne(service, bomb)));
    const one: [string, Throw] = [name, async (service) => [await throwOne(service, bomb)]];
    return quick && !name.includes("transactions") ? [one] : [one, [`8 times ${name}`, many]];
  });
  return [
    ...bombs,
    ["chunks of one byte", (service) => drip(service, quick ? 20_000 : 200_000)],
    ["20 answers of 100,000 queries that nobody reads", leaveUnread],
    ["200 stalled bodies of 8 MiB", stall],
  ];
}

/** Asks /livez from another thread. */
class Probe {
  readonly #worker = new Worker(new URL("./livez_probe.ts", import.meta.url), { type: "module" });

  constructor(url: string) {
    this.#worker.postMessage(url);
  }

  /** What it saw since the last time. */
  async report(): Promise<ProbeReport> {
    const { promise, resolve } = Promise.withResolvers<ProbeReport>();
    this.#worker.onmessage = ({ data }) => resolve(data);
    this.#worker.postMessage(null);
    return await promise;
  }

  close(): void {
    this.#worker.terminate();
  }
}

async function memoryOf(pid: number, field: "VmRSS" | "VmHWM"): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return 1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)![1]);
}

export interface BombsOptions {
  /** Memory of the cgroup that the service runs in; null = none. */
  readonly cgroupMiB: number | null;
  /** Each bomb once only, and fewer chunks of one byte. */
  readonly quick?: boolean;
  readonly onOutcome?: (outcome: Outcome) => void;
}

/** Throws everything at a service of its own, one after the other. Null where no cgroup can be made. */
export async function bombsRun(
  { cgroupMiB, quick = false, onOutcome = () => {} }: BombsOptions,
): Promise<BombsVerdict | null> {
  const cgroup = cgroupMiB === null ? null : await makeCgroup(cgroupMiB * MIB);
  if (cgroupMiB !== null && !cgroup) return null;
  const service = await startService(cgroup ? { cgroup: cgroup.procs } : {});
  let probe: Probe | null = null;
  try {
    await waitReady(service);
    probe = new Probe(service.url);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await probe.report(); // its own start is slow
    const outcomes: Outcome[] = [];
    for (const [name, run] of throwsOf(quick)) {
      const from = performance.now();
      const answered = await run(service).catch((error) => [(error as Error).message]);
      const ms = performance.now() - from;
      const statuses: Record<string, number> = {};
      for (const status of answered) statuses[status] = (statuses[status] ?? 0) + 1;
      const peakBytes = await memoryOf(service.pid, "VmHWM");
      await Deno.writeTextFile(`/proc/${service.pid}/clear_refs`, "5"); // begins the next peak
      const outcome = { name, statuses, ms, probe: await probe.report(), peakBytes };
      outcomes.push(outcome);
      onOutcome(outcome);
    }
    const cgroupPeakBytes = await cgroup?.peakBytes() ?? null;
    await stopInGoodOrder(service);
    return {
      outcomes,
      peakBytes: Math.max(...outcomes.map((o) => o.peakBytes)),
      cgroupPeakBytes,
      longestMs: Math.max(...outcomes.map((o) => o.probe.longestMs)),
      failures: outcomes.reduce((n, o) => n + o.probe.failures, 0),
    };
  } finally {
    probe?.close();
    await service.kill();
    await Deno.remove(service.folder, { recursive: true });
    await cgroup?.remove();
  }
}

const mib = (bytes: number) => `${(bytes / MIB).toFixed(0)} MiB`;

/** One outcome as a line. */
export function outcomeLine({ name, statuses, ms, probe, peakBytes }: Outcome): string {
  const answered = Object.entries(statuses).map(([status, n]) => `${n} x ${status}`).join(", ");
  return `${name}: ${answered} in ${ms.toFixed(0)} ms; /livez ${probe.answers} times, longest ` +
    `${probe.longestMs.toFixed(0)} ms, ${probe.failures} failures; RSS at most ${mib(peakBytes)}`;
}

export function bombsVerdictLine(
  { longestMs, failures, peakBytes, cgroupPeakBytes }: BombsVerdict,
): string {
  const cgroup = cgroupPeakBytes === null ? "" : `, its cgroup ${mib(cgroupPeakBytes)}`;
  return `/livez answered within ${longestMs.toFixed(0)} ms throughout, ${failures} failures; ` +
    `RSS at most ${mib(peakBytes)}${cgroup}`;
}

if (import.meta.main) {
  const values = commandLine("bombs", { "cgroup-mib": { type: "string" } });
  const cgroupMiB = values["cgroup-mib"] === undefined ? null : Number(values["cgroup-mib"]);
  const verdict = await bombsRun({
    cgroupMiB,
    onOutcome: (outcome) => console.log(outcomeLine(outcome)),
  });
  if (!verdict) {
    console.error("A memory cgroup (version 1) cannot be made here: root is needed");
    Deno.exit(2);
  }
  console.log(bombsVerdictLine(verdict));
}
