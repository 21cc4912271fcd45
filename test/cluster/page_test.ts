// The status of all processes that share partitions, from whichever is asked.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { JobStatus } from "../../src/service/mod.ts";
import { startJob } from "../../tools/kit/job_process.ts";
import { Loader } from "../../tools/kit/load.ts";
import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Stage } from "../kafka/scene.ts";
import { until } from "../kafka/until.ts";
import { SHARED } from "./processes.ts";

const stage = await Stage.shared();
const PARTITIONS = 4;
const RECORDS = 40;
const TOKEN = "a-token-of-clients-and-people";
/** A process that stands still stays in the group for as long as the test looks. */
const SESSION_MS = 120_000;

const headers = { authorization: `Bearer ${TOKEN}` };

async function get<T>({ url }: Service, path: string): Promise<T> {
  const response = await fetch(`${url}${path}`, { headers });
  const body = await response.json();
  assertEquals(response.status, 200, JSON.stringify(body));
  return body;
}

/** The first line of the stream that pages read. */
async function lineOf({ url }: Service): Promise<{ status: JobStatus }> {
  const over = new AbortController();
  const response = await fetch(`${url}/status/stream`, { headers, signal: over.signal });
  let text = "";
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.includes("\n")) break;
  }
  over.abort();
  return JSON.parse(text.split("\n")[0]!);
}

stage.test("GET /status is of all processes that share partitions, whichever is asked; one that stands still is shown so, and holds nothing up", async () => {
  const scene = await stage.scene(PARTITIONS);
  const running: Service[] = [];
  const topic = scene.topics["transaction.input.topic"];
  try {
    for (let n = 0; n < 2; n++) {
      running.push(
        await startJob(stage.broker.bootstrap, await stage.newFolder(), {
          ...scene.flags,
          ...SHARED,
          "http.token": TOKEN,
          "cluster.token": "a-token-of-the-cluster-alone",
          "kafka.session.timeout.ms": String(SESSION_MS),
        }),
      );
    }
    for (const service of running) await waitReady(service);
    const loader = await Loader.open(stage.broker.bootstrap, topic);
    await loader.append(
      Array.from({ length: RECORDS }, (_, n) => loader.recordOf(`${n}\t${n}\titem_${n}\t1`, 1)),
    );
    await loader.close();
    const addresses = running.map(({ url }) => new URL(url).host).toSorted();
    for (const service of running) {
      const own = new URL(service.url).host;
      let status: JobStatus | null = null;
      await until("the status is of both, and of all records", async () => {
        status = await get<JobStatus>(service, "/status");
        return status.totals.accepted === RECORDS && status.isReady;
      }, ...running);
      const { partitions, cluster, workers, items } = status!;
      assertEquals(partitions.map(({ partition }) => partition), [0, 1, 2, 3]);
      assertEquals([...new Set(partitions.map(({ process }) => process!))].toSorted(), addresses);
      assertEquals(workers.map(({ process }) => process!).toSorted(), addresses);
      assertEquals(items, RECORDS);
      assertEquals(cluster!.processes.map(({ state, why }) => [state, why]), [
        ["running", null],
        ["running", null],
      ]);
      // Its own part, which its metrics are of.
      const alone = await get<JobStatus>(service, "/status?of=process");
      assertEquals(alone.partitions.length, PARTITIONS / 2);
      const metrics = await (await fetch(`${service.url}/metrics`, { headers })).text();
      assertEquals(
        metrics.match(/^stockflow_clock_ahead_seconds\{partition="\d+"\}/gm)?.length,
        PARTITIONS / 2,
      );
      assertStringIncludes(metrics, "\nstockflow_cluster_processes 2\n");
      assertStringIncludes(metrics, `\nstockflow_cluster_owned_partitions ${PARTITIONS / 2}\n`);
      assertEquals((await lineOf(service)).status.partitions.length, PARTITIONS);
      assert(cluster!.processes.some(({ address, isHere }) => isHere && address === own));
    }
    const hot = await Promise.all(
      running.map((service) => get<{ samples: number }>(service, "/status/hot-items")),
    );
    assertEquals(hot[0]!.samples, hot[1]!.samples);
    const { events } = await get<{ events: unknown[] }>(running[0]!, "/checkpoints");
    assert(Array.isArray(events));
    const [asked, still] = running as [Service, Service];
    still.signal("SIGSTOP");
    const host = new URL(still.url).host;
    let silent: JobStatus | null = null;
    await until("it is shown as one that does not answer", async () => {
      silent = await get<JobStatus>(asked, "/status");
      return silent.cluster!.processes.some(({ address, state }) =>
        address === host && state === null
      );
    }, asked);
    assertEquals(silent!.isReady, false);
    assertStringIncludes(silent!.verdict.findings.map(({ text }) => text).join(), host);
    assertEquals(silent!.partitions.length, PARTITIONS / 2);
    still.signal("SIGCONT");
    await until(
      "it answers again",
      async () => (await get<JobStatus>(asked, "/status")).partitions.length === PARTITIONS,
      asked,
    );
    for (const service of running.splice(0)) await stopInGoodOrder(service);
  } finally {
    await Promise.all(running.map((service) => service.kill()));
  }
});
