// Alerts: the cause of each is made to happen to a job in virtual time, what /metrics says meanwhile goes through
// promtool with the real durations, and the alert must fire. Needs promtool (apt-get install prometheus).

import { assert, assertEquals } from "@std/assert";
import { LostError } from "../../src/log/mod.ts";
import type { Log, LogSession, ReadAnswer, ReadOptions } from "../../src/log/mod.ts";
import { forEach } from "../../src/service/mod.ts";
import type { TransactionResult } from "../../src/types/mod.ts";
import type { ParameterKey } from "../../src/parameters/mod.ts";
import { Client } from "../http/client.ts";
import { line, type StartOptions, World } from "../engine/world.ts";
import { whyNoPrometheus } from "./prometheus.ts";

const RULES = new URL("../../config/alerts.yml", import.meta.url).pathname;
const STEP_SECONDS = 15;
const MINUTES = 12;
const STEPS = MINUTES * 60 / STEP_SECONDS;
const ignore = whyNoPrometheus("promtool") !== null;

/** What a target said at every scrape, by series; null = it did not say it. */
type Scraped = Map<string, (string | null)[]>;

interface Scene {
  readonly flags?: Partial<Record<ParameterKey, string>>;
  readonly start?: (clock: World["clock"]) => StartOptions;
  /** Records a scrape that are appended, by what they say. */
  readonly records?: (step: number) => readonly string[];
  /** Makes the cause happen, before some scrape. */
  readonly cause?: (client: Client, step: number) => unknown;
}

/** Runs a job and scrapes it. */
async function scrape({ flags = {}, start = () => ({}), records = wellRecords, cause }: Scene) {
  const world = await World.open({ "commit.interval.ms": "100", ...flags });
  const client = new Client(world, await world.start(() => null, start(world.clock)));
  const scraped: Scraped = new Map();
  for (let step = 0; step < STEPS; step++) {
    await cause?.(client, step);
    const { log, job } = client.life;
    for (const [i, text] of records(step).entries()) {
      const { itemId, record } = line(i, `item_${i}`, 1, 1000);
      const partition = job.context.owners.partitionOf(itemId);
      const value = text === "" ? record.value : new TextEncoder().encode(text);
      const appended = log.append("transactions", partition, [{ ...record, value }]);
      appended.catch(() => {});
    }
    for (let i = 0; i < STEP_SECONDS; i++) await world.clock.advance(1000);
    const { text } = await client.request("GET", "/metrics");
    for (const [, series, value] of text.matchAll(/^(stockflow_\S+) (\S+)$/gm)) {
      const values = scraped.get(series!) ?? new Array(step).fill(null);
      while (values.length < step) values.push(null);
      scraped.set(series!, [...values, value!]);
    }
  }
  client.life.kill();
  world.close();
  return scraped;
}

/** A little of everything that is well. */
const wellRecords = () => Array.from({ length: 20 }, () => "");

/** Names of the alerts that fire for a target which said this. */
async function firing(scraped: Scraped, up = "1"): Promise<string[]> {
  return (await firingOf({ a: scraped }, up)).map(({ name }) => name);
}

/** Which alerts fire for which of several targets. */
async function firingOf(
  processes: Readonly<Record<string, Scraped>>,
  up = "1",
): Promise<{ instance: string; name: string }[]> {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-alerts-" });
  const labelled = (series: string, instance: string) =>
    series.includes("{")
      ? series.replace("{", `{instance="${instance}",job="stockflow",`)
      : `${series}{instance="${instance}",job="stockflow"}`;
  const series = Object.entries(processes).flatMap(([instance, scraped]) =>
    [...scraped, ["up", new Array(STEPS).fill(up)] as const].map(([name, values]) => ({
      series: labelled(name, instance),
      values: values.map((value) => value ?? "_").join(" "),
    }))
  );
  const names = [...(await Deno.readTextFile(RULES)).matchAll(/- alert: (\w+)/g)].map((m) => m[1]!);
  const asked = Object.keys(processes).flatMap((instance) =>
    names.map((name) => ({
      instance,
      name,
      labels: `alertname="${name}",alertstate="firing",instance="${instance}"`,
    }))
  );
  // Of each alert it is asked whether it fires; promtool answers by what differs.
  const file = `${folder}/test.yml`;
  const test = {
    rule_files: [RULES],
    evaluation_interval: `${STEP_SECONDS}s`,
    tests: [{
      interval: `${STEP_SECONDS}s`,
      input_series: series,
      promql_expr_test: asked.map(({ labels }) => ({
        expr: `count(ALERTS{${labels}})`,
        eval_time: `${MINUTES}m`,
        exp_samples: [],
      })),
    }],
  };
  // JSON is YAML.
  await Deno.writeTextFile(file, JSON.stringify(test));
  const { stdout, stderr } = await new Deno.Command("promtool", { args: ["test", "rules", file] })
    .output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  const fired = asked.filter(({ labels }) =>
    said.includes(labels) || said.includes(labels.replaceAll('"', '\\"'))
  );
  assert(fired.length > 0 || said.includes("SUCCESS"), said);
  await Deno.remove(folder, { recursive: true });
  return fired;
}

/** Puts something between a job and the session of its transactions. */
function wrapSessions(
  wrap: (session: LogSession) => Partial<LogSession>,
  mayClaim = () => true,
): StartOptions {
  return {
    wrapLog: (log) =>
      new Proxy(log as Log, {
        get: (target, name) => {
          const value = Reflect.get(target, name, target);
          if (name !== "claim") return typeof value === "function" ? value.bind(target) : value;
          return async (...args: Parameters<Log["claim"]>) => {
            if (!mayClaim()) throw new LostError("The log does not answer");
            const session = await target.claim(...args);
            const changed = wrap(session);
            return new Proxy(session, {
              get: (s, key) => {
                const found = Reflect.get(changed, key) ?? Reflect.get(s, key, s);
                return typeof found === "function" ? found.bind(s) : found;
              },
            });
          };
        },
      }),
  };
}

Deno.test({ name: "alerts: nothing fires while all is well", ignore }, async () => {
  assertEquals(await firing(await scrape({})), []);
});

Deno.test({ name: "alerts: a process that does not answer", ignore }, async () => {
  assertEquals(await firing(new Map(), "0"), ["StockflowDown"]);
});

Deno.test(
  { name: "alerts: a worker that recovers again and again is not ready", ignore },
  async () => {
    let isBroken = false;
    const start = () =>
      wrapSessions((session) => ({
        commit: (commit, signal) =>
          isBroken ? Promise.resolve("lost" as const) : session.commit(commit, signal),
      }), () => !isBroken);
    const fired = await firing(await scrape({ start, cause: () => void (isBroken = true) }));
    for (const name of ["StockflowNotReady", "StockflowRecovers", "StockflowUnavailable"]) {
      assert(fired.includes(name), `${name} is not among ${fired}`);
    }
  },
);

Deno.test({ name: "alerts: counts that disagree", ignore }, async () => {
  const cause = ({ life }: Client, step: number) => {
    if (step !== 5) return;
    const { core } = life.worker.partitions[0]!.processor!;
    core.restoreScalars({ ...core.state, accepted: core.state.accepted + 1n });
  };
  assertEquals(await firing(await scrape({ cause })), ["StockflowConservationBroken"]);
});

/** An answer without records, after the time that a read waits for some. */
async function nothing(
  clock: World["clock"],
  { waitMs, signal }: ReadOptions,
): Promise<ReadAnswer> {
  await clock.sleep(waitMs, signal);
  return { batches: [], endOffset: Infinity };
}

Deno.test({ name: "alerts: a log that is not read any more", ignore }, async () => {
  const start = (clock: World["clock"]) =>
    wrapSessions((session) => ({
      read: (partition, offset, options) =>
        offset < 200 ? session.read(partition, offset, options) : nothing(clock, options),
    }));
  assertEquals(await firing(await scrape({ start })), ["StockflowStalled"]);
});

Deno.test({ name: "alerts: a log that is read more slowly than it grows", ignore }, async () => {
  const start = (clock: World["clock"]) => {
    const readAt = new Map<number, number>();
    return wrapSessions((session) => ({
      read: async (partition, offset, options) => {
        const now = clock.monotonic();
        if (now - (readAt.get(partition) ?? -Infinity) < 20_000) {
          return await nothing(clock, options);
        }
        const answer = await session.read(partition, offset, { ...options, waitMs: 0 });
        if (answer.batches.length === 0) return await nothing(clock, options);
        readAt.set(partition, now);
        return { ...answer, batches: answer.batches.slice(0, 1) };
      },
    }));
  };
  const records = () => Array.from({ length: 300 }, () => "");
  assertEquals(await firing(await scrape({ start, records })), ["StockflowLag"]);
});

Deno.test({ name: "alerts: commits that take a minute", ignore }, async () => {
  const start = (clock: World["clock"]) =>
    wrapSessions((session) => ({
      commit: async (commit, signal) => {
        await clock.sleep(60_000);
        return await session.commit(commit, signal);
      },
    }));
  const fired = await firing(await scrape({ start }));
  for (const name of ["StockflowBackPressure", "StockflowCommitsSlow"]) {
    assert(fired.includes(name), `${name} is not among ${fired}`);
  }
});

Deno.test({ name: "alerts: checkpoints that cannot be written", ignore }, async () => {
  const fired = await firing(
    await scrape({ cause: ({ life }) => void (life.stateKv.plan = () => "fails") }),
  );
  assert(fired.includes("StockflowCheckpointsFail"), String(fired));
});

Deno.test(
  { name: "alerts: a disk that is nearly full, and one that is full", ignore },
  async () => {
    const flags = { "disk.free.bytes.min": "1000000" };
    const near = { freeBytes: () => Promise.resolve(3_000_000) };
    assertEquals(await firing(await scrape({ flags, start: () => near })), ["StockflowDiskLow"]);
    const full = { freeBytes: () => Promise.resolve(500_000) };
    const fired = await firing(await scrape({ flags, start: () => full }));
    assertEquals(fired, ["StockflowUnavailable", "StockflowDiskLow"]);
  },
);

Deno.test({ name: "alerts: memory of the state that is nearly full", ignore }, async () => {
  const fired = await firing(await scrape({ flags: { "state.bytes.max": "100000" } }));
  assert(fired.includes("StockflowMemoryLow"), String(fired));
});

Deno.test({ name: "alerts: records that are invalid", ignore }, async () => {
  const records = () => Array.from({ length: 20 }, (_, i) => i % 5 === 0 ? "x" : "");
  assertEquals(await firing(await scrape({ records })), ["StockflowInvalidRecords"]);
});

/** Lines that none of another scrape has, of so many. */
const fresh = (count: number) => (step: number) =>
  Array.from({ length: count }, (_, i) => `${step * count + i}\t1000\titem_${i}\t1`);

Deno.test({ name: "alerts: transactions that are repeated again and again", ignore }, async () => {
  const flags = { "idempotency.window.ms": "3600000" };
  // Each scrape brings the same ones.
  assertEquals(await firing(await scrape({ flags })), ["StockflowManyDuplicates"]);
  assertEquals(await firing(await scrape({ flags, records: fresh(20) })), []);
});

Deno.test({ name: "alerts: transactions under ids that others have", ignore }, async () => {
  const flags = { "idempotency.window.ms": "3600000" };
  const records = (step: number) => [
    ...fresh(19)(step),
    ...(step % 10 === 5 ? [`${19 * step}\t1000\titem_0\t2`] : []),
  ];
  assertEquals(await firing(await scrape({ flags, records })), ["StockflowIdConflicts"]);
});

Deno.test({ name: "alerts: more transactions than are remembered", ignore }, async () => {
  const flags = {
    "idempotency.window.ms": "3600000",
    "idempotency.transactions.max": "1024",
  };
  const scraped = await scrape({ flags, records: fresh(300) });
  assertEquals(await firing(scraped), ["StockflowShortMemoryOfTransactions"]);
});

Deno.test(
  { name: "alerts: a group that shares its partitions anew without end", ignore },
  async () => {
    // A world has one process: of its group it is said what the group would say.
    const cause = ({ life }: Client, step: number) => {
      const process = { address: "a:1", workers: 1, partitions: 2, isHere: true, isLeader: true };
      const status = { generation: step, partitions: 2, processes: [process] };
      Object.assign(life.job.context, { cluster: { status } });
    };
    assertEquals(await firing(await scrape({ cause })), ["StockflowRebalances"]);
  },
);

Deno.test(
  { name: "alerts: a sink that was behind for longer than its records are kept", ignore },
  async () => {
    let fails = true;
    const sink = forEach<TransactionResult>(() => {
      if (fails) throw new Error("The shop is closed");
    });
    const fired = await firing(
      await scrape({
        flags: { "log.retention.ms": "60000", "sink.retention.bytes": "5000" },
        start: () => ({ sink }),
        records: () => Array.from({ length: 200 }, () => ""),
        cause: (_, step) => void (fails = step < STEPS - 10),
      }),
    );
    // While it fails that is a condition.
    assertEquals(fired, ["StockflowSinkLosesRecords"]);
  },
);

Deno.test(
  { name: "alerts: of processes that share partitions the one is named that is not well", ignore },
  async () => {
    const well = await scrape({});
    const failing = await scrape({ cause: ({ life }) => void (life.stateKv.plan = () => "fails") });
    const fired = await firingOf({ a: well, b: failing });
    assertEquals([...new Set(fired.map(({ instance }) => instance))], ["b"]);
    assert(fired.some(({ name }) => name === "StockflowCheckpointsFail"), JSON.stringify(fired));
    // A partition moves from one to the other: each says what it knows of it while it has it.
    const half = STEPS / 2;
    const only = (has: (step: number) => boolean): Scraped =>
      new Map([...well].map(([series, values]) => [
        series,
        series.includes('partition="1"') ? values.map((v, i) => has(i) ? v : null) : values,
      ]));
    const moved = { a: only((step) => step < half), b: only((step) => step >= half) };
    assertEquals(await firingOf(moved), []);
  },
);

Deno.test("alerts: every alert has a test", async () => {
  const tests = await Deno.readTextFile(new URL(import.meta.url));
  const alerts = [...(await Deno.readTextFile(RULES)).matchAll(/- alert: (\w+)/g)];
  assert(alerts.length >= 16);
  assertEquals(alerts.map(([, name]) => name!).filter((name) => !tests.includes(`"${name}"`)), []);
});
