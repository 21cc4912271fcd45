// A member of a group that stands by, before a coordinator that answers as asked.

import { assert, assertEquals } from "@std/assert";
import { AssignerProtocol } from "kafkajs";
import { Buffer } from "node:buffer";
import { encodeActive } from "../../../src/kafka/active_process.ts";
import type { Answer } from "../../../src/kafka/active_watch.ts";
import { ErrorCode } from "../../../src/kafka/client/errors.ts";
import { protocolError } from "../../../src/kafka/client/internals.ts";
import { Membership } from "../../../src/kafka/membership.ts";
import { OneActive } from "../../../src/kafka/one_active.ts";
import { ManualClock } from "../../engine/manual_clock.ts";
import { connectionTo } from "../../kafka/connection.ts";

const SESSION_MS = 60_000;
const ACTIVE = { memberId: "other", life: "a1", address: "10.0.0.1:8080" };

/** A group of another member, which is active, and of this one; what leaves is reported. */
class Scene {
  readonly clock = new ManualClock();
  readonly left: string[] = [];
  answer: Answer = { life: ACTIVE.life };
  readonly membership: Membership;

  constructor(userData: Uint8Array) {
    const memberAssignment = AssignerProtocol.MemberAssignment.encode({
      version: 1,
      assignment: {},
      userData: Buffer.from(userData),
    });
    const gone = () => this.left.includes("other");
    this.membership = new Membership({
      connection: connectionTo({
        joinGroup: () =>
          Promise.resolve({
            generationId: gone() ? 2 : 1,
            leaderId: gone() ? "me" : "other",
            memberId: "me",
            members: [],
          }),
        syncGroup: () => Promise.resolve({ memberAssignment }),
        heartbeat: ({ groupGenerationId }) =>
          gone() && groupGenerationId === 1
            ? Promise.reject(protocolError(ErrorCode.RebalanceInProgress))
            : Promise.resolve(),
        leaveGroup: ({ memberId }) => Promise.resolve(void this.left.push(memberId)),
      }),
      groupId: "group",
      sessionTimeoutMs: SESSION_MS,
      retries: 3,
      inputs: () => new Map(),
      memberIds: { load: () => Promise.resolve("me"), save: () => Promise.resolve() },
      division: new OneActive({
        groupId: "group",
        heartbeatMs: SESSION_MS / 10,
        inputs: () => new Map(),
        life: { id: "b2", address: null },
        onActive: () => Promise.resolve(),
      }),
      ask: () => Promise.resolve(this.answer),
      clock: this.clock,
    });
    this.membership.start();
  }

  /** Lets a tenth of the session pass: no heartbeat falls due by itself. */
  async shortWhile(): Promise<void> {
    for (let at = 0; at < SESSION_MS / 20; at += 100) await this.clock.advance(100);
  }
}

Deno.test("who stands by takes a process out that is gone, and is active at once", async () => {
  const { membership, left, shortWhile, ...scene } = await opened(encodeActive(ACTIVE));
  assertEquals([left, membership.isFresh], [[], false]);
  scene.kill();
  await shortWhile();
  assertEquals(left, ["other"]);
  assert(membership.isFresh);
  void membership.close();
});

Deno.test("who stands by waits for the group when nothing says where the active process is", async () => {
  for (const userData of [encodeActive({ ...ACTIVE, address: null }), new Uint8Array()]) {
    const { membership, left, shortWhile, ...scene } = await opened(userData);
    scene.kill();
    await shortWhile();
    assertEquals([left, membership.isFresh], [[], false]);
    void membership.close();
  }
});

/** A scene in which the active process has answered. */
async function opened(userData: Uint8Array) {
  const scene = new Scene(userData);
  const shortWhile = () => scene.shortWhile();
  await shortWhile();
  const kill = () => void (scene.answer = "refused");
  return { membership: scene.membership, left: scene.left, shortWhile, kill };
}
