import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { StopError } from "../../../src/log/mod.ts";
import { type Connection, type Dial, tcp } from "../../../src/service/sources/tcp.ts";
import { appendOrWait } from "../../../src/service/sources/append.ts";
import type { FeedTarget } from "../../../src/service/streams.ts";
import { LineReader } from "../../../src/service/sources/line_reader.ts";
import { encodeUtf8, parseQueryTextBytes, type Query } from "../../../src/types/mod.ts";
import { capturingLogs } from "../../engine/captured_logs.ts";
import { ManualClock } from "../../engine/manual_clock.ts";

/** The other side of a socket, as a test plays it. */
class FakeConnection implements Connection {
  readonly #chunks: (Uint8Array | Error | null)[] = [];
  #wake = () => {};
  closed = false;

  send(chunk: string | Error | null): void {
    this.#chunks.push(typeof chunk === "string" ? encodeUtf8(chunk) : chunk);
    this.#wake();
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#chunks.length === 0) {
      if (this.closed) throw new Error("closed");
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const chunk = this.#chunks.shift()!;
    if (chunk instanceof Error) throw chunk;
    if (chunk === null) return null;
    buffer.set(chunk);
    return chunk.length;
  }

  close(): void {
    assert(!this.closed, "closed twice");
    this.closed = true;
    this.#wake();
  }
}

interface Fixture {
  readonly clock: ManualClock;
  /** What the next attempts to connect find; then nobody listens. */
  readonly next: (FakeConnection | Error)[];
  /** Times of the attempts in ms since the start. */
  readonly attempts: number[];
  readonly taken: Query[];
  readonly logged: string[];
  /** Errors of the log for the next appends. */
  readonly refusals: Error[];
}

/** Runs a socket's reader while the test plays the other side. */
function play(chance: number, test: (f: Fixture) => Promise<void>): Promise<void> {
  return capturingLogs(async (logged) => {
    const clock = new ManualClock();
    const start = clock.now();
    const f: Fixture = { clock, next: [], attempts: [], taken: [], logged, refusals: [] };
    const dial: Dial = () => {
      f.attempts.push(clock.now() - start);
      const next = f.next.shift() ?? new Error("refused");
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
    };
    const append = (queries: readonly Query[]) => {
      const refusal = f.refusals.shift();
      if (refusal) return Promise.reject(refusal);
      f.taken.push(...queries);
      return Promise.resolve();
    };
    const stop = new AbortController();
    const address = "there:1";
    const target: FeedTarget<Query> = {
      what: "query",
      parseLine: parseQueryTextBytes,
      clock,
      chance: () => chance,
      append: (queries, from, stop) =>
        appendOrWait(() => append(queries), { from, count: queries.length, target, stop }),
    };
    const socket = new LineReader({ address, dial, target });
    // The test has its first connection ready, if it wants one.
    const tested = test(f);
    const running = socket.run(stop.signal);
    running.catch(() => {}); // it is awaited at the end
    try {
      await tested;
    } finally {
      stop.abort();
      await clock.settle();
      await running;
    }
  });
}

const open = async (f: Fixture) => {
  const connection = new FakeConnection();
  f.next.push(connection);
  await f.clock.settle();
  await f.clock.until(() => f.next.length === 0, "it connects");
  return connection;
};

Deno.test("the socket's lines become queries, and bad ones are logged", () =>
  play(0.5, async (f) => {
    const connection = await open(f);
    connection.send("1 item_1\r\n2\titem 2\nnonsense\n99999999999999999999 a\n3 item_3");
    await f.clock.settle();
    assertEquals(f.taken, [
      { queryId: 1n, itemId: "item_1" },
      { queryId: 2n, itemId: "item 2" },
    ]);
    connection.send("33\n" + "x".repeat(60_000));
    await f.clock.settle();
    connection.send("x\n4 item_4\n");
    await f.clock.settle();
    assertEquals(f.taken.slice(2).map((q) => q.itemId), ["item_333", "item_4"]);
    const bad = f.logged.filter((line) => line.includes("is not a query"));
    assertEquals(bad.length, 3);
    assertStringIncludes(
      bad[0]!,
      '(malformed): Expected queryId, a blank or TAB, and itemId: "nonsense"',
    );
    assertStringIncludes(bad[1]!, "(id_range)");
    assertStringIncludes(bad[1]!, '"99999999999999999999 a"');
    assertStringIncludes(bad[2]!, "(too_long): it has more than 16384 bytes");
  }));

Deno.test("a byte order mark at the beginning of a connection is passed over, as over HTTP", () =>
  play(0.5, async (f) => {
    const connection = await open(f);
    connection.send("\ufeff");
    await f.clock.settle();
    connection.send("1 item_1\n\ufeff2 item_2\n3 item_3\n");
    await f.clock.settle();
    assertEquals(f.taken.map((q) => q.queryId), [1n, 3n]);
  }));

Deno.test("a line that the end of the connection cut is logged, and not taken", () =>
  play(0.5, async (f) => {
    const connection = await open(f);
    connection.send("1 item_1\n2 item_2");
    connection.send(null);
    await f.clock.settle();
    assertEquals(f.taken.map((q) => q.itemId), ["item_1"]);
    assert(connection.closed);
    assert(f.logged.some((l) => l.endsWith('is not a query (cut): no newline behind "2 item_2"')));
    // Nor does its beginning spoil the first line of the next connection.
    const next = await open(f);
    next.send("3 item_3\n");
    await f.clock.settle();
    assertEquals(f.taken.map((q) => q.itemId), ["item_1", "item_3"]);
  }));

Deno.test("connection, loss and reconnect are logged", () =>
  play(0.5, async (f) => {
    await f.clock.settle();
    const first = await open(f);
    first.send("1 a\n");
    await f.clock.settle();
    first.send(new Error("reset by peer"));
    await f.clock.settle();
    await open(f);
    assertEquals(f.logged, [
      "warning Cannot connect to there:1: refused; trying again",
      "info Connected to there:1",
      "warning The connection to there:1 was lost: reset by peer; connecting again",
      "info Connected to there:1",
    ]);
  }));

Deno.test("attempts to connect wait twice as long each time up to a bound, by chance", async () => {
  const waits = async (chance: number) => {
    const between: number[] = [];
    await play(chance, async (f) => {
      await f.clock.settle();
      await f.clock.until(() => f.attempts.length === 10, "ten attempts");
      for (let i = 1; i < 10; i++) between.push(f.attempts[i]! - f.attempts[i - 1]!);
    });
    return between;
  };
  const middle = [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000];
  assertEquals(await waits(0.5), middle);
  assertEquals(await waits(0), middle.map((ms) => ms / 2));
});

Deno.test("a server that closes at once is not called again at once; one that sends is", () =>
  play(0.5, async (f) => {
    for (let i = 0; i < 5; i++) {
      (await open(f)).send(null);
      await f.clock.settle();
    }
    await f.clock.until(() => f.attempts.length === 6, "six attempts");
    assertEquals(f.attempts, [0, 200, 600, 1400, 3000, 6200]);
  }).then(() =>
    play(0.5, async (f) => {
      for (let i = 0; i < 3; i++) {
        const connection = await open(f);
        connection.send("1 a\n");
        connection.send(null);
        await f.clock.settle();
      }
      await f.clock.until(() => f.attempts.length === 4, "four attempts");
      assertEquals(f.attempts, [0, 200, 400, 600]);
    })
  ));

Deno.test("queries that the log refuses wait, and are not lost", () =>
  play(0.5, async (f) => {
    f.refusals.push(new Error("disk full"), new Error("disk full"));
    const connection = await open(f);
    connection.send("1 a\n2 b\n");
    connection.send("3 c\n");
    await f.clock.settle();
    assertEquals(f.taken, []);
    await f.clock.until(() => f.taken.length === 3, "the log has them");
    assertEquals(f.taken.map((q) => q.queryId), [1n, 2n, 3n]);
    assert(
      f.logged.includes("error 2 records of there:1 wait, the log does not take them: disk full"),
    );
  }));

Deno.test("a log that takes no queries from the job ends the reader: the lines behind would be lost", async () => {
  await assertRejects(
    () =>
      play(0.5, async (f) => {
        f.refusals.push(new StopError("The topic takes none", "give the job its rights"));
        const connection = await open(f);
        connection.send("1 a\n2 b\n");
        await f.clock.settle();
        assertEquals(f.taken, []);
        assert(connection.closed);
      }),
    StopError,
    "The topic takes none",
  );
});

Deno.test("a socket that Deno does not allow is an error with its remedy", () => {
  // Unit tests run without permissions.
  const error = assertThrows(() => tcp("example.org", 9999), StopError, "example.org:9999");
  assertEquals(
    error.remedy,
    "start by deno task start, which allows all hosts, or add example.org:9999 to --allow-net of the command",
  );
  assertThrows(() => tcp("fe80::1", 1), StopError, "[fe80::1]:1");
});
