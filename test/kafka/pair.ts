// An active process of the Kafka job and one that stands by.

import { assertEquals } from "@std/assert";
import { Loader } from "../../tools/kit/load.ts";
import { type Service, waitReady } from "../../tools/kit/service.ts";
import type { Scene, Stage } from "./scene.ts";
import { until } from "./until.ts";
import { witness } from "./witness.ts";

/** Nobody is taken out by time. Heartbeats, by which a process learns that others join, are a tenth of it apart. */
export const LONG_SESSION = { "kafka.session.timeout.ms": "60000" };

/** An active process that has committed one record, and one that stands by. */
export async function pair(
  stage: Stage,
  { start, topics }: Scene,
  flags: Readonly<Record<string, string>>,
): Promise<{ loader: Loader; active: Service; standing: Service }> {
  const loader = await Loader.open(stage.broker.bootstrap, topics["transaction.input.topic"]);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  const active = await start(flags);
  await waitReady(active);
  const folder = await stage.newFolder();
  const standing = await start({ ...flags, "state.kv": `${folder}/state.kv` });
  await until("it stands by", () => standing.log().includes("stands by"), standing);
  return { loader, active, standing };
}

/** Gives the one that stands by the time for some questions. */
export function asked(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 3000));
}

/** These results, each once, are all that there are. */
export async function assertOnce(
  { broker }: Stage,
  { topics }: Scene,
  lines: string[],
): Promise<void> {
  const results = await witness(broker.bootstrap, topics["transaction.output.topic"]);
  assertEquals(results.flat().map((r) => r.value).toSorted(), lines);
}

async function isOk(url: string): Promise<boolean> {
  const response = await fetch(url);
  await response.body?.cancel();
  return response.ok;
}

export const isReady = ({ url }: Service): Promise<boolean> => isOk(`${url}/readyz`);
export const isAlive = ({ url }: Service): Promise<boolean> => isOk(`${url}/livez`);
