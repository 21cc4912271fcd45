// deno task sim --seeds=N [--from=M]   runs N seeds; exits 1 if a promise was broken
// deno task sim --seed=N               runs one seed and prints its trace
// deno task sim:kafka ...              the same on the real src/kafka
//     --first                          ends with the first seed that breaks a promise

import process from "node:process";
import { commandLine } from "../../tools/kit/command_line.ts";
import { turnOfTheEventLoop } from "./event_loop.ts";
import { type FaultKind, faultKindsOf, type LogKind } from "./plan.ts";
import type { MakeKafka } from "./kafka_port.ts";
import { run, type RunResult } from "./simulation.ts";

const SEEDS = 1000;
const PROGRESS_MS = 500;

const values = commandLine("sim", {
  seed: { type: "string" },
  seeds: { type: "string" },
  from: { type: "string" },
  kafka: { type: "boolean", default: false },
  first: { type: "boolean", default: false },
});

// kafkajs is loaded by those runs alone that need it.
const kafka: MakeKafka | null = values.kafka ? (await import("./kafka/mod.ts")).makeKafka : null;
const LOGS: readonly LogKind[] = kafka ? ["kafka"] : ["broker", "embedded"];

/** A number of an option. */
function numberOf(name: "seed" | "seeds" | "from", otherwise: number): number {
  const text = values[name];
  if (text === undefined) return otherwise;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  console.error(`--${name} is a number from 0 to 999999999999999: ${text}`);
  Deno.exit(2);
}

async function replay(seed: number): Promise<boolean> {
  const lines: string[] = [];
  const result = await run(seed, { lines, kafka });
  for (const line of lines) console.log(line);
  report(result);
  const { records, commits, recoveries, events, virtualMs } = result;
  console.log(
    `seed ${seed}: ${records} records, ${commits} commits, ${recoveries} recoveries, ` +
      `${events} events in ${(virtualMs / 1000).toFixed(1)} virtual seconds`,
  );
  return result.violations.length === 0;
}

function report({ seed, violations }: RunResult): void {
  for (const { promise, message } of violations) {
    console.log(`seed ${seed} breaks ${promise}: ${message}`);
    console.log(`  replay: deno task ${kafka ? "sim:kafka" : "sim"} --seed=${seed}`);
  }
}

/** CPU time of this process so far, of all its threads, in seconds. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function runMany(from: number, count: number): Promise<boolean> {
  // Stacks take time; who repeats a seed gets them.
  Error.stackTraceLimit = 0;
  const faults = new Map<FaultKind, number>();
  let violations = 0;
  let records = 0;
  let recoveries = 0;
  let active = 0;
  const started = performance.now();
  let printed = started;
  for (let seed = from; seed < from + count; seed++) {
    const result = await run(seed, { kafka });
    await turnOfTheEventLoop();
    for (const [kind, n] of result.faults) faults.set(kind, (faults.get(kind) ?? 0) + n);
    records += result.records;
    recoveries += result.recoveries;
    if (result.activeMax > 1) active++;
    if (result.violations.length > 0) {
      violations++;
      clearLine();
      report(result);
      if (values.first) return false;
    }
    if (!Deno.stdout.isTerminal() || performance.now() - printed < PROGRESS_MS) continue;
    printed = performance.now();
    progress(seed - from + 1, count, (printed - started) / 1000);
  }
  clearLine();
  const seconds = (performance.now() - started) / 1000;
  const perSecond = (of: number) => (count / of).toFixed(1);
  for (const kind of faultKindsOf(LOGS)) console.log(`${kind.padEnd(30)} ${faults.get(kind) ?? 0}`);
  const total = faults.values().reduce((sum, n) => sum + n, 0);
  console.log(
    `${records} records, ${recoveries} recoveries, ${total} faults; ${
      perSecond(seconds)
    } seeds a second, ` +
      `${perSecond(cpuSeconds())} per CPU second`,
  );
  if (kafka) console.log(`${active} of ${count} seeds with two active processes or more`);
  console.log(`${count} seeds, ${violations} violations`);
  return violations === 0;
}

function progress(done: number, count: number, seconds: number): void {
  const rate = done / seconds;
  const left = Math.ceil((count - done) / rate);
  const text = `${done} of ${count} seeds, ${rate.toFixed(1)} a second, ${left} s left`;
  Deno.stdout.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
}

function clearLine(): void {
  if (Deno.stdout.isTerminal()) Deno.stdout.writeSync(new TextEncoder().encode("\r\x1b[K"));
}

const good = values.seed !== undefined
  ? await replay(numberOf("seed", 0))
  : await runMany(numberOf("from", 1), numberOf("seeds", SEEDS));
Deno.exit(good ? 0 : 1);
