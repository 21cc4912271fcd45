// What runs once in a group whose processes share partitions: savepoints, sources of the job's own, sinks in the process.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Savepoint } from "../../src/state/mod.ts";
import { clusterOf, sharedBy } from "../../tools/kit/cluster_view.ts";
import { startJob } from "../../tools/kit/job_process.ts";
import { startKvServer, whyNoKvServer } from "../../tools/kit/kv_server.ts";
import { Loader } from "../../tools/kit/load.ts";
import {
  type Service,
  stopInGoodOrder,
  waitReady,
  whenListening,
} from "../../tools/kit/service.ts";
import { faultTest } from "../faults/with_broker.ts";
import { linesOf, startFeedProcess } from "../kafka/feed_process.ts";
import { type Scene, Stage } from "../kafka/scene.ts";
import { until } from "../kafka/until.ts";
import { witness } from "../kafka/witness.ts";
import { SHARED } from "./processes.ts";

const stage = await Stage.shared();

/** Waits until so many processes share the partitions, by the word of each of them. */
async function untilShared(services: readonly Service[]): Promise<void> {
  await until(
    `${services.length} processes share the partitions`,
    async () => await sharedBy(services) !== null,
    ...services,
  );
  for (const service of services) await waitReady(service);
}

const post = (url: string, name: string) =>
  fetch(`${url}/savepoints`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name }),
  });

// ---- savepoints ----

/** More than a write to the server takes checks. */
const MANY = 12;
const COUNT = 60;

faultTest(
  "a savepoint of all partitions is taken by whichever process is asked, and is there for the others",
  async () => {
    const server = await startKvServer();
    const scene = await stage.scene(MANY);
    const running: Service[] = [];
    const topic = scene.topics["transaction.input.topic"];
    try {
      for (let n = 0; n < 2; n++) {
        running.push(
          await startJob(
            stage.broker.bootstrap,
            await stage.newFolder(),
            { ...scene.flags, ...SHARED, "state.kv": server.url },
            { DENO_KV_ACCESS_TOKEN: server.token },
          ),
        );
      }
      await untilShared(running);
      const loader = await Loader.open(stage.broker.bootstrap, topic);
      await loader.append(
        Array.from({ length: COUNT }, (_, n) => loader.recordOf(`${n}\t${n}\titem_${n}\t1`, 1)),
      );
      await loader.close();
      await stage.untilCommitted(scene, COUNT, ...running);
      for (const [n, { url }] of running.entries()) {
        const taken = await post(url, `by-${n}`);
        const savepoint: Savepoint = await taken.json();
        assertEquals(taken.status, 201, JSON.stringify(savepoint));
        assertEquals(savepoint.partitions.length, MANY);
        assertEquals(savepoint.partitions.reduce((sum, p) => sum + (p?.offset ?? 0), 0), COUNT);
        assertEquals(savepoint.partitions.reduce((sum, p) => sum + (p?.items ?? 0), 0), COUNT);
        const other = running[1 - n]!.url;
        const there = await (await fetch(`${other}/savepoints/by-${n}`)).json();
        assertEquals(there, savepoint);
        assertEquals((await post(other, `by-${n}`)).status, 409);
      }
      const gone = await fetch(`${running[0]!.url}/savepoints/by-1`, { method: "DELETE" });
      assertEquals(gone.status, 204);
      const { savepoints } = await (await fetch(`${running[1]!.url}/savepoints`)).json();
      assertEquals(savepoints.map(({ name }: Savepoint) => name), ["by-0"]);
      for (const service of running.splice(0)) await stopInGoodOrder(service);
    } finally {
      await Promise.all(running.map((service) => service.kill()));
      await server.remove();
    }
  },
  await whyNoKvServer(),
);

stage.test("processes that share partitions and have files of their own take no savepoint, and say why", async () => {
  const scene = await stage.scene();
  const service = await scene.start(SHARED);
  await untilShared([service]);
  const refused = await post(service.url, "mine");
  assertEquals(refused.status, 409);
  assertStringIncludes((await refused.json()).error.message, "set state.kv to a server (http://");
  await stopInGoodOrder(service);
});

// ---- sources and sinks ----

const BROUGHT = 300;

/** Starts the job that has sources of its own and a sink; its processes note what they do in the same files. */
async function startOwn(scene: Scene, port: number): Promise<Service> {
  const folder = await stage.newFolder();
  const child = startFeedProcess({
    scene,
    bootstrap: stage.broker.bootstrap,
    folder,
    noted: `${scene.folder}/noted`,
    answers: `${scene.folder}/answers`,
    count: BROUGHT,
    port,
    flags: SHARED,
    output: { stdout: "piped", stderr: "piped" },
  });
  return await whenListening(child, folder);
}

stage.test("sources and sinks of processes that share partitions run in the one that GET /cluster names, and move when it dies", async () => {
  const scene = await stage.scene(4);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections: Deno.TcpConn[] = [];
  void (async () => {
    for await (const connection of listener) connections.push(connection);
  })().catch(() => {}); // it is closed at the end
  const { port } = listener.addr as Deno.NetAddr;
  const noted = `${scene.folder}/noted`;
  const answers = `${scene.folder}/answers`;
  const ask = (lines: string) => connections.at(-1)!.write(new TextEncoder().encode(lines));
  const running: Service[] = [];
  try {
    for (let n = 0; n < 3; n++) running.push(await startOwn(scene, port));
    await untilShared(running);
    await until("records are brought", async () => (await linesOf(noted)).length > 20, ...running);
    await until("lines are taken", () => connections.length === 1, ...running);
    await ask("1 item_0\n2 item_1\n3 unseen\n");
    await until("they are answered", async () => (await linesOf(answers)).length >= 3, ...running);
    const { sourcesAndSinks, processes } = (await clusterOf(running[1]!))!;
    const named = processes.find(({ life }) => life === sourcesAndSinks)!;
    const victim = running.find(({ url }) => new URL(url).host === named.address)!;
    // The other processes fold: they have partitions as well.
    assertEquals(processes.map(({ partitions }) => Object.values(partitions).flat().length > 0), [
      true,
      true,
      true,
    ]);
    assertEquals(connections.length, 1);
    await victim.kill();
    running.splice(running.indexOf(victim), 1);
    await until("another takes lines", () => connections.length === 2, ...running);
    await until("it is named", async () => {
      const view = await clusterOf(running[0]!);
      return view?.processes.length === 2 && view.sourcesAndSinks !== sourcesAndSinks;
    }, ...running);
    await ask("4 item_0\n");
    await until(
      "its sink goes on",
      async () => (await linesOf(answers)).some((line) => line.startsWith("4 ")),
      ...running,
    );
    await until(
      "all is brought",
      async () => (await linesOf(noted)).length === BROUGHT,
      ...running,
    );
    await stage.untilCommitted(scene, BROUGHT, ...running);
    for (const service of running.splice(0)) await stopInGoodOrder(service);
  } finally {
    listener.close();
    for (const connection of connections) {
      try {
        connection.close();
      } catch {
        // The other side has.
      }
    }
    await Promise.all(running.map((service) => service.kill()));
  }
  const { topics } = scene;
  const inputs = (await witness(stage.broker.bootstrap, topics["transaction.input.topic"])).flat();
  const ids = new Set(inputs.map(({ value }) => Number(value!.split("\t")[0])));
  assertEquals(ids.size, BROUGHT);
  // What was brought and not noted when it was killed comes again, and nothing else.
  assert(inputs.length <= BROUGHT + 1, `${inputs.length} records`);
  const results = (await witness(stage.broker.bootstrap, topics["transaction.output.topic"]))
    .flat();
  assertEquals(results.length, inputs.length);
  assertEquals(
    new Set((await linesOf(answers)).map((line) => line.split(" ")[0])),
    new Set(["1", "2", "3", "4"]),
  );
});
