// What the simulator found in src/kafka, each by itself.

import { assert, assertEquals, assertRejects } from "@std/assert";
import type { BrokerInternals, Connection } from "../../../src/kafka/client/internals.ts";
import { KafkaClient } from "../../../src/kafka/client/kafka_client.ts";
import { Membership } from "../../../src/kafka/membership.ts";
import { OneActive } from "../../../src/kafka/one_active.ts";
import { ManualClock } from "../../engine/manual_clock.ts";
import { connectionTo } from "../../kafka/connection.ts";
import { connectionError } from "./client_errors.ts";

const SESSION_MS = 1000;
const never = () => new Promise<never>(() => {});

Deno.test("a member that took longer to take over than its session lasts is not fresh", async () => {
  const clock = new ManualClock();
  const member = { generationId: 1, leaderId: "me", memberId: "me", members: [] };
  const membership = new Membership({
    connection: connectionTo({
      joinGroup: () => Promise.resolve(member),
      syncGroup: () => Promise.resolve({ memberAssignment: new Uint8Array() }),
      heartbeat: never,
      leaveGroup: () => Promise.resolve(),
    }),
    groupId: "group",
    sessionTimeoutMs: SESSION_MS,
    retries: 3,
    inputs: () => new Map(),
    division: new OneActive({
      groupId: "group",
      heartbeatMs: SESSION_MS / 10,
      inputs: () => new Map(),
      life: { id: "0", address: null },
      onActive: () => clock.sleep(SESSION_MS + 500),
    }),
    ask: never,
    memberIds: { load: () => Promise.resolve("me"), save: () => Promise.resolve() },
    clock,
  });
  membership.start();
  // The coordinator has heard of it at 0 for the last time.
  for (let at = 0; at < 2 * SESSION_MS; at += 100) {
    await clock.advance(100);
    assert(at < SESSION_MS || !membership.isFresh, `It is fresh at ${at} ms`);
  }
  void membership.close();
});

Deno.test("a client that breaks while it produces leaves no error that nobody hears of", async () => {
  const pushed: string[] = [];
  const connection: Partial<Connection> = {
    clientId: "test",
    isAuthenticated: () => true,
    failIfNotConnected: () => void client.close(), // another call fails at this very moment
    nextCorrelationId: () => 1,
    requestQueue: {
      pending: [],
      scheduleCheckPendingRequests() {},
      maybeThrottle() {},
      push: ({ entry }) => {
        pushed.push(entry.apiName);
        entry.reject(connectionError("Connection reset"));
      },
    },
  };
  const connectionPool = { getConnection: () => Promise.resolve(connection), send: never };
  const options = connectionTo({
    connectionPool: connectionPool as unknown as BrokerInternals["connectionPool"],
  });
  const client = new KafkaClient(options, new ManualClock());
  const { acknowledged } = await client.produce("0", "id", []);
  await assertRejects(() => acknowledged, Error, "The client was closed");
  assertEquals(pushed, []);
});
