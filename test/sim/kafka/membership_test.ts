// A member of a group, before a coordinator that answers one request of a connection after the other, as brokers do.

import { assert, assertEquals } from "@std/assert";
import { ActiveGeneration } from "../../../src/kafka/active_generation.ts";
import type { ActiveProcess } from "../../../src/kafka/active_process.ts";
import type { Answer } from "../../../src/kafka/active_watch.ts";
import { ErrorCode } from "../../../src/kafka/client/errors.ts";
import { type BrokerInternals, protocolError } from "../../../src/kafka/client/internals.ts";
import type { ConnectionOptions } from "../../../src/kafka/client/kafka_client.ts";
import type { Role } from "../../../src/kafka/division.ts";
import { type MemberIds, Membership } from "../../../src/kafka/membership.ts";
import { ManualClock } from "../../engine/manual_clock.ts";
import { connectionTo } from "../../kafka/connection.ts";

const SESSION_MS = 60_000;
const OTHER: ActiveProcess = { memberId: "other", life: "a1", address: "10.0.0.1:8080" };

class Scene {
  readonly clock = new ManualClock();
  readonly left: string[] = [];
  readonly #gone = Promise.withResolvers<void>();
  generation = 1;
  /** Whether the next generation waits for the other member. */
  isRebalancing = false;
  answer: Answer = { life: OTHER.life };
  readonly membership: Membership;

  /**
   * @param partOf what this process is in a generation
   * @param memberIds where its id is kept
   */
  constructor(
    partOf: (generation: number) => Role,
    memberIds: MemberIds = { load: () => Promise.resolve("me"), save: () => Promise.resolve() },
  ) {
    this.membership = new Membership({
      connection: this.#connection(),
      groupId: "group",
      sessionTimeoutMs: SESSION_MS,
      retries: 3,
      inputs: () => new Map(),
      memberIds,
      division: {
        protocol: "test",
        heartbeatMs: 100,
        subscribe: () => Promise.resolve(new Uint8Array()),
        assign: () => Promise.resolve([]),
        take: () => OTHER,
        begin: () => Promise.resolve(partOf(this.generation)),
        over: () => {},
        forget: () => {},
      },
      ask: () => Promise.resolve(this.answer),
      clock: this.clock,
    });
    this.membership.start();
  }

  /** Each connection has a queue of its own. */
  #connection(): ConnectionOptions {
    return {
      ...connectionTo({}),
      createCluster: (options) => {
        let last: Promise<unknown> = Promise.resolve();
        const queued = <T>(work: () => Promise<T>): Promise<T> => {
          const done = last.then(work);
          last = done.catch(() => {});
          return done;
        };
        return connectionTo(this.#broker(queued)).createCluster!(options);
      },
    };
  }

  #broker(queued: <T>(work: () => Promise<T>) => Promise<T>): Partial<BrokerInternals> {
    return {
      joinGroup: () =>
        queued(async () => {
          if (this.isRebalancing) {
            await this.#gone.promise;
            this.isRebalancing = false;
            this.generation++;
          }
          const { generation: generationId } = this;
          return { generationId, leaderId: "other", memberId: "me", members: [] };
        }),
      syncGroup: () => queued(() => Promise.resolve({ memberAssignment: new Uint8Array() })),
      heartbeat: () =>
        queued(() =>
          this.isRebalancing
            ? Promise.reject(protocolError(ErrorCode.RebalanceInProgress))
            : Promise.resolve()
        ),
      leaveGroup: ({ memberId }) =>
        queued(() => {
          this.left.push(memberId);
          if (memberId === OTHER.memberId) this.#gone.resolve();
          return Promise.resolve();
        }),
    };
  }
}

Deno.test("a join that waits for a member that is gone holds nothing up: that one is taken out meanwhile", async () => {
  const scene = new Scene(() => ({ active: null }));
  const { clock, membership, left } = scene;
  await clock.until(() => membership.standsBy !== null, "the first generation");
  await clock.advance(1000); // the other one has answered
  scene.isRebalancing = true;
  await clock.until(() => membership.standsBy === null, "it joins the next one");
  scene.answer = "refused";
  await clock.until(() => membership.standsBy !== null, "the second generation");
  assertEquals([left, scene.generation], [["other"], 2]);
  await clock.run(membership.close(), "it leaves");
  assertEquals(left, ["other", "me"]);
});

Deno.test("a process that stops leaves its group when its last session is closed, and does not wait for its end", async () => {
  const active = new ActiveGeneration("me", 1);
  const { clock, membership, left } = new Scene(() => active);
  await clock.until(() => membership.active !== null, "it is active");
  active.claim([0]);
  active.claim([1]);
  membership.leave();
  active.release();
  await clock.advance(1000);
  assertEquals(left, []);
  assert(membership.isFresh);
  active.release();
  await clock.until(() => left.length > 0, "it has left");
  assertEquals([left, membership.isFresh], [["me"], false]);
  await clock.run(membership.close(), "its end");
  assertEquals(left, ["me"]);
});

Deno.test("a process that stops while it is between two generations leaves in the next one", async () => {
  const scene = new Scene((generation) => new ActiveGeneration("me", generation));
  const { clock, membership, left } = scene;
  await clock.until(() => membership.active !== null, "it is active");
  await clock.advance(1000);
  scene.isRebalancing = true;
  await clock.until(() => membership.active === null, "it joins the next generation");
  membership.leave();
  scene.answer = "refused";
  await clock.until(() => left.length === 2, "it has left");
  assertEquals(left, ["other", "me"]);
  await clock.run(membership.close(), "its end");
});

Deno.test("a process that ends while it joins leaves its group", async () => {
  const scene = new Scene(() => ({ active: null }));
  const { clock, membership, left } = scene;
  await clock.until(() => membership.standsBy !== null, "the first generation");
  scene.isRebalancing = true;
  await clock.until(() => membership.standsBy === null, "it joins the next one");
  await clock.run(membership.close(), "its end");
  assertEquals(left, ["me"]);
});

Deno.test("a process whose member id can neither be read nor kept, as its disk is full, joins all the same", async () => {
  const refused = () => Promise.reject(new Error("No space left on device (os error 28)"));
  const scene = new Scene((generation) => new ActiveGeneration("me", generation), {
    load: refused,
    save: refused,
  });
  const { clock, membership } = scene;
  await clock.until(() => membership.active !== null, "it is active");
  scene.isRebalancing = true;
  await clock.until(() => membership.active === null, "it joins the next generation");
  scene.answer = "refused";
  await clock.until(() => membership.active?.generation === 2, "the second generation");
  await clock.run(membership.close(), "its end");
});
