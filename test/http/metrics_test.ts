import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { World } from "../engine/world.ts";
import { Client } from "./client.ts";

/** Values by name and labels, as they stand in the text of a scrape. */
type Scrape = ReadonlyMap<string, number>;

async function scrape(client: Client): Promise<Scrape> {
  const { text, type } = await client.request("GET", "/metrics");
  assert(type!.startsWith("text/plain; version=0.0.4"));
  const values = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [, name, value] = /^([^#\s]\S*) (\S+)$/.exec(line) ?? [];
    if (name) values.set(name, Number(value));
  }
  return values;
}

const countersOf = (values: Scrape) =>
  [...values].filter(([name]) => /_total(\{|$)|_(bucket|sum|count)(\{|$)/.test(name));

/** Fails when a counter is smaller than it was. */
function assertNeverBack(before: Scrape, after: Scrape): void {
  for (const [name, value] of countersOf(before)) {
    assert((after.get(name) ?? 0) >= value, `${name} went from ${value} to ${after.get(name)}`);
  }
}

Deno.test("metrics report what workers do: commits, checkpoints, windows, late records, lag, queries", async () => {
  const client = await Client.open({ "event.time": "true", "watermark.out.of.orderness.ms": "0" });
  const { world } = client;
  const now = world.clock.now();
  const day = 86_400_000;
  const lines = [
    `1\t${now}\titem_2\t5`,
    `2\t${now + 120_000}\titem_2\t-9`, // makes the window of the first due
    `3\t${now}\titem_2\t5`, // late
    `4\t${now + 2 * day}\titem_2\t5`, // too far ahead
    `5\t${now + 240_000}\titem_2\t1`, // makes the window with the failure due
  ];
  for (const line of lines) await client.post("/transactions", "text/plain", line);
  await client.post("/queries", "text/plain", "1 item_2\n2 item_3\n");
  await client.life.log.append("queries", 0, [{ timestamp: 1, key: null, value: null }]);
  await world.clock.advance(3000);
  await world.clock.advance(2000);
  const values = await scrape(client);
  const expected: [string, number][] = [
    ["stockflow_records_in_total", 5],
    ['stockflow_transactions_total{outcome="accepted"}', 4],
    ['stockflow_transactions_total{outcome="rejected"}', 1],
    ["stockflow_late_records_total", 1],
    ["stockflow_far_ahead_records_total", 1],
    ["stockflow_summaries_total", 1],
    ["stockflow_items", 1],
    ["stockflow_open_windows", 1],
    ["stockflow_ready", 1],
    [`stockflow_build_info{version="${config.version}"}`, 1],
    ["stockflow_queries_total", 2],
    ['stockflow_invalid_queries_total{reason="null_value"}', 1],
    ['stockflow_recoveries_total{worker="0"}', 0],
    ['stockflow_recoveries_total{worker="queries"}', 0],
    ['stockflow_lag_records{partition="0"}', 0],
    ['stockflow_lag_records{partition="1"}', 0],
    ["stockflow_log_waiting_bytes", 0],
  ];
  for (const [name, value] of expected) assertEquals(values.get(name), value, name);
  // Shares of the worker's time.
  const states = ["busy", "idle", "back_pressured"];
  const shares = states.map((state) =>
    values.get(`stockflow_worker_time_ratio{worker="0",state="${state}"}`)!
  );
  assert(shares.every((share) => share >= 0 && share <= 1));
  assert(Math.abs(shares.reduce((a, b) => a + b) - 1) < 1e-9, String(shares));
  // Commits, as a histogram.
  const bucket = (le: string) =>
    values.get(`stockflow_commit_duration_seconds_bucket{input="transactions",le="${le}"}`)!;
  const count = values.get('stockflow_commit_duration_seconds_count{input="transactions"}')!;
  assert(count >= 1 && bucket("+Inf") === count && bucket("0.001") <= bucket("10"));
  assert(bucket("10") <= count);
  assert(values.get('stockflow_commit_duration_seconds_sum{input="transactions"}')! >= 0);
  assert(values.get('stockflow_commit_duration_seconds_count{input="queries"}')! >= 1);
  const age = values.get('stockflow_commit_age_seconds{worker="0"}')!;
  assert(age >= 2 && age < 20, `${age}`);
  assert([...values.keys()].some((name) => name.startsWith("stockflow_checkpoint_age_seconds{")));
  await world.clock.advance(60_000);
  const later = await scrape(client);
  const grown = later.get('stockflow_commit_age_seconds{worker="0"}')! - age;
  assert(grown >= 60 && grown < 80, `${grown}`);
  await world.stop(client.life);
  world.close();
});

Deno.test("no counter goes back while a worker is recovered", async () => {
  const world = await World.open({ "checkpoint.interval.millis": "0" });
  const client = new Client(world, await world.start());
  const seen: Scrape[] = [];
  const look = async () => void seen.push(await scrape(client));
  for (let round = 0; round < 6; round++) {
    const lines = Array.from(
      { length: 20 },
      (_, i) => `${i}\t5\titem_${i}\t${i % 3 === 0 ? -9 : 4}`,
    );
    await client.post("/transactions", "text/plain", [...lines, "x"].join("\n"));
    await look();
    // Its next commit is refused, and it takes the recovery path, without any checkpoint.
    await client.life.log.append("transactions", 0, [{ timestamp: 1, key: null, value: null }]);
    const { plan } = client.life.logKv;
    client.life.logKv.plan = () => "fails";
    for (let i = 0; i < 6; i++) {
      await world.clock.advance(300);
      await look();
    }
    client.life.logKv.plan = plan;
    await world.clock.until(() => client.life.job.isReady, "ready");
    await look();
  }
  for (const [i, values] of seen.entries()) if (i > 0) assertNeverBack(seen[i - 1]!, values);
  const recoveries = seen.at(-1)!.get('stockflow_recoveries_total{worker="0"}')!;
  assert(recoveries >= 3, `${recoveries} recoveries`);
  assert(seen.some((values) => values.get("stockflow_ready") === 0));
  assertEquals(seen.at(-1)!.get('stockflow_transactions_total{outcome="accepted"}'), 6 * 13);
  await client.close();
});

Deno.test("names of metrics follow the guide, and every one has a help and a type", async () => {
  const client = await Client.open();
  await client.post("/transactions", "text/plain", "1\t5\ta\t1");
  const { text } = await client.request("GET", "/metrics");
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
  assert(types.length > 15);
  for (const [, name, type] of types) {
    assert(name!.startsWith("stockflow_"), name);
    assert(text.includes(`# HELP ${name} `), name);
    assertEquals(name!.endsWith("_total"), type === "counter", name);
    assert(!/_(ms|millis|milliseconds|minutes|percent)(_|$)/.test(name!), name);
  }
  await client.close();
});
