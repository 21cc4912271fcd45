import { assertEquals, assertStringIncludes } from "@std/assert";
import { Hono } from "hono";
import { failWith } from "../../src/http/answers.ts";
import { BodyReader } from "../../src/http/body_reader.ts";
import { clusterRoutes } from "../../src/http/cluster.ts";
import { limitsOf } from "../../src/http/mod.ts";
import { Conditions } from "../../src/engine/conditions.ts";
import { Owners } from "../../src/engine/owners.ts";
import type { ClusterView } from "../../src/log/mod.ts";
import { Parameters } from "../../src/parameters/mod.ts";
import { Cluster, type RunningJob } from "../../src/service/mod.ts";
import { encodeUtf8, Partitioner, partitionOf, systemClock } from "../../src/types/mod.ts";
import { Client } from "./client.ts";

const TOKEN = "a-token-of-the-cluster";

/** An item of partition 0 of two. */
const ITEM = Array.from({ length: 10 }, (_, n) => `item_${n}`)
  .find((id) => partitionOf(Partitioner.Murmur2, encodeUtf8(id), 2) === 0)!;

/** This process has partition 0, another one partition 1. */
const VIEW: ClusterView = {
  generation: 7,
  nonce: 99,
  state: "sharing",
  members: ["me", "other"].map((life, n) => ({
    memberId: `member ${life}`,
    life,
    address: `${life}:8080`,
    capacity: 2,
    watchedBy: 1 - n,
  })),
  self: 0,
  leader: 1,
  inputs: [{ topic: "transactions", owners: [0, 1], since: [3, 7] }],
};

function opened(token = TOKEN) {
  const active = { generation: VIEW.generation, claimedBy: () => 0 };
  const confirm = () => Promise.resolve(active);
  const owners = new Owners({
    partitioner: Partitioner.Murmur2,
    partitions: 2,
    log: { isAvailable: true, isClaimed: true, standsBy: null },
    sharing: { active, confirm },
    clock: systemClock,
  });
  owners.set(0, {
    isReady: true,
    ready: Promise.resolve(),
    lookUp: (ids) => Promise.resolve(ids.map((_, n) => n === 0 ? 2n ** 60n : null)),
  });
  let view: ClusterView | null = VIEW;
  const cluster = new Cluster({
    sharing: {
      get view() {
        return view;
      },
      changed: () => new Promise(() => {}),
      active,
      confirm,
      leave: () => {},
    },
    owners,
    topic: "transactions",
    token,
    clock: systemClock,
    conditions: new Conditions(systemClock),
  });
  const stopping = new AbortController().signal;
  const reader = new BodyReader({
    limits: limitsOf(Parameters.of({})),
    clock: systemClock,
    stopping,
  });
  const app = new Hono();
  app.onError((error, c) => failWith(c, error));
  app.route(
    "/",
    clusterRoutes({
      job: { cluster } as RunningJob,
      reader,
      tokens: token === "" ? [] : [token],
      stopping,
    }),
  );
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await app.request(`http://127.0.0.1${path}`, init);
    return [response.status, await response.json()] as const;
  };
  const lookUp = (asked: unknown, bearer: string | null = token) => {
    const body = JSON.stringify(asked);
    return ask("/cluster/lookups", {
      method: "POST",
      body,
      headers: {
        "content-type": "application/json",
        "content-length": String(body.length),
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
      },
    });
  };
  return { ask, lookUp, cluster, leave: () => view = null };
}

Deno.test("GET /cluster says who has what, since when, who leads, and who watches whom", async () => {
  const { ask, leave } = opened();
  const [status, body] = await ask("/cluster");
  const part = (partition: number, since: number) => ({ transactions: [{ partition, since }] });
  assertEquals([status, body], [200, {
    generation: 7,
    state: "sharing",
    self: "me",
    leader: "other",
    sourcesAndSinks: "other",
    processes: [
      {
        life: "me",
        address: "me:8080",
        memberId: "member me",
        workers: 2,
        watchedBy: "other",
        partitions: part(0, 3),
      },
      {
        life: "other",
        address: "other:8080",
        memberId: "member other",
        workers: 2,
        watchedBy: "me",
        partitions: part(1, 7),
      },
    ],
  }]);
  leave();
  assertEquals((await ask("/cluster"))[0], 503);
});

Deno.test("GET /cluster/owner says where an item is", async () => {
  const { ask } = opened();
  const [status, body] = await ask(`/cluster/owner?item=${ITEM}`);
  const owner = { life: "me", address: "me:8080", isHere: true };
  assertEquals([status, body], [200, { partition: 0, generation: 7, ...owner }]);
  assertEquals((await ask("/cluster/owner"))[0], 400);
  assertEquals((await ask(`/cluster/owner?item=${"x".repeat(300)}`))[0], 400);
});

Deno.test("processes of a group ask each other with their token, in the generation that both know", async () => {
  const { lookUp } = opened();
  const lookups = [{ partition: 0, ids: [ITEM, "other"] }];
  const asked = { life: "me", generation: 7, nonce: 99, lookups };
  assertEquals(await lookUp(asked), [200, { stocks: [["1152921504606846976", null]] }]);
  assertEquals((await lookUp(asked, null))[0], 401);
  assertEquals((await lookUp(asked, "another-token-than-that"))[0], 401);
  for (const other of [{ ...asked, generation: 8 }, { ...asked, nonce: 98 }]) {
    const [status, { error }] = await lookUp(other);
    assertEquals([status, error.reason], [503, "unavailable"]);
    assertStringIncludes(error.message, "This process is in generation 7");
  }
  const [status, { error }] = await lookUp({ ...asked, life: "other" });
  assertEquals(status, 409);
  assertStringIncludes(error.message, "http.advertised.host");
  assertEquals((await lookUp({ ...asked, lookups: [{ partition: -1, ids: [] }] }))[0], 400);
  assertEquals((await lookUp({ generation: 7 }))[0], 400);
});

Deno.test("where no partitions are shared, there is no cluster; and http.token is asked for beside", async () => {
  const client = await Client.open({}, "a-token-of-clients");
  const get = (path: string, token: string) =>
    client.request("GET", path, { headers: { authorization: `Bearer ${token}` } });
  assertEquals((await get("/cluster", "a-token-of-clients")).status, 409);
  assertEquals((await get("/cluster/owner?item=a", "a-token-of-clients")).status, 409);
  assertEquals((await get("/cluster", "another-token-of-clients")).status, 401);
  // What processes ask each other takes their own token, which is that of clients if there is none.
  const post = (token: string) =>
    client.request("POST", "/cluster/lookups", {
      body: "{}",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    });
  assertEquals((await post("another-token-of-clients")).status, 401);
  assertEquals((await post("a-token-of-clients")).status, 409);
  await client.close();
});

Deno.test("Cluster.status says how many partitions each process has, which of them is here, and which leads", () => {
  const { cluster, leave } = opened();
  assertEquals(cluster.status, {
    generation: 7,
    partitions: 2,
    processes: [
      { address: "me:8080", workers: 2, partitions: 1, isHere: true, isLeader: false },
      { address: "other:8080", workers: 2, partitions: 1, isHere: false, isLeader: true },
    ],
  });
  leave();
  assertEquals(cluster.status, null);
});
