// A member of a group that shares partitions, before a coordinator that answers at once.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { encodeAssignment, userDataIn } from "../../../src/kafka/assignments.ts";
import type { KafkaClient } from "../../../src/kafka/client/kafka_client.ts";
import { isActive, type Role } from "../../../src/kafka/division.ts";
import {
  SharedDivision,
  type SharedDivisionOptions,
} from "../../../src/kafka/sharing/shared_division.ts";
import { decodeSharingAssignment } from "../../../src/kafka/sharing/sharing_assignment.ts";
import { LostError, StopError } from "../../../src/log/mod.ts";

const TOPICS = { transactions: "transactions", queries: "queries" };
const client = () => Promise.resolve({} as KafkaClient);
const lifeOf = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

/** A group whose coordinator answers at once. */
class Group {
  readonly members = new Map<string, SharedDivision>();
  readonly started: string[] = [];
  readonly cleared: string[] = [];
  generation = 0;
  isNew = true;

  add(memberId: string, more: Partial<SharedDivisionOptions> = {}): SharedDivision {
    const division = new SharedDivision({
      groupId: "group",
      heartbeatMs: 100,
      inputs: () => new Map([[TOPICS.transactions, 6], [TOPICS.queries, 3]]),
      topics: TOPICS,
      life: { id: lifeOf(this.members.size + 1), address: `${memberId}:8080` },
      shared: { window: "5" },
      workers: 2,
      chance: () => 0.5,
      loadOf: () => null,
      isStarting: () => Promise.resolve(this.isNew),
      hasCheckpoints: () => Promise.resolve(false),
      start: (_, { generation }, { slot, hasCheckpoints }) => {
        this.started.push(`${memberId} in ${generation} by slot ${slot}, ${hasCheckpoints}`);
        this.isNew = false;
        return Promise.resolve();
      },
      clear: (_, slot, workers) => {
        this.cleared.push(`${memberId} clears slot ${slot} of ${workers} workers`);
        return Promise.resolve();
      },
      ...more,
    });
    this.members.set(memberId, division);
    return division;
  }

  /** One generation: all join, the leader assigns, each takes what it is given. */
  async next(leaderId = [...this.members.keys()][0]!): Promise<Map<string, Role | Error>> {
    this.generation++;
    const members = await Promise.all([...this.members].map(async ([memberId, division]) => ({
      memberId,
      memberMetadata: await division.subscribe(),
    })));
    const joined = (memberId: string) => ({
      generationId: this.generation,
      leaderId,
      memberId,
      members: memberId === leaderId ? members : [],
    });
    const assignments = await this.members.get(leaderId)!.assign(joined(leaderId), await client());
    const parts = new Map<string, Role | Error>();
    for (const { memberId, memberAssignment } of assignments) {
      const division = this.members.get(memberId)!;
      const taken = async () => {
        division.take(joined(memberId), memberAssignment);
        return await division.begin(joined(memberId), client);
      };
      parts.set(memberId, await taken().catch((error) => error));
    }
    return parts;
  }
}

/** Partitions by worker, and those of queries. */
function shareOf(part: Role | Error | undefined) {
  assert(part && !(part instanceof Error) && isActive(part) && part.share);
  return [part.partitionsOf(0), part.partitionsOf(1), part.share.queries];
}

Deno.test("a new group: the leader alone commits the first offsets, in a generation in which nobody has partitions", async () => {
  const group = new Group();
  group.add("a");
  group.add("b", { hasCheckpoints: () => Promise.resolve(true) });
  const first = await group.next();
  assertEquals(group.started, ["a in 1 by slot 0, true"]);
  assert(first.get("a") instanceof Error, "it joins anew at once");
  assertEquals(first.get("b"), { active: null });
  const second = await group.next();
  assertEquals(shareOf(second.get("a")), [[0, 2], [1], [0, 1]]);
  assertEquals(shareOf(second.get("b")), [[3, 5], [4], [2]]);
});

Deno.test("the workers of a process share its partitions by the load that was measured", async () => {
  const loads = new Map([[0, 5000], [1, 10], [2, 3000], [3, 10], [4, 1000], [5, 990]]);
  const group = new Group();
  group.isNew = false;
  let isMeasured = false;
  group.add("a", { loadOf: (partition) => isMeasured ? loads.get(partition)! : null });
  assertEquals(shareOf((await group.next()).get("a")), [[0, 2, 4], [1, 3, 5], [0, 1, 2]]);
  isMeasured = true;
  assertEquals(shareOf((await group.next()).get("a")), [[0], [1, 2, 3, 4, 5], [0, 1, 2]]);
});

Deno.test("partitions stay where they are when another process joins, as far as the balance allows", async () => {
  const group = new Group();
  group.isNew = false;
  group.add("a");
  assertEquals(shareOf((await group.next()).get("a")), [[0, 2, 4], [1, 3, 5], [0, 1, 2]]);
  group.add("b");
  const parts = await group.next();
  const [first, second] = shareOf(parts.get("a"));
  assert([...first!].every((p) => [0, 2, 4].includes(p)), `${first}`);
  assert([...second!].every((p) => [1, 3, 5].includes(p)), `${second}`);
});

Deno.test("the ids of a process that is gone are initialised by one of the others, once", async () => {
  const group = new Group();
  group.isNew = false;
  for (const name of ["a", "b", "c"]) group.add(name);
  await group.next();
  group.members.delete("c");
  await group.next("b");
  assertEquals(group.cleared, ["a clears slot 2 of 2 workers"]);
  await group.next("a");
  assertEquals(group.cleared.length, 1);
});

Deno.test("a member that runs otherwise is refused, and not the group", async () => {
  const group = new Group();
  group.isNew = false;
  group.add("b");
  await group.next();
  group.add("a", { shared: { window: "7" } });
  const parts = await group.next("b");
  const refused = parts.get("a");
  assert(refused instanceof StopError);
  assertEquals(
    refused.message,
    "Group group has members that run otherwise: window is 7 here and 5 there",
  );
  assertEquals(shareOf(parts.get("b")).flat().length, 9);
  // As their leader it knows better than to assign anything.
  await assertRejects(() => group.next("a"), StopError, "window is 7 here and 5 there");
});

Deno.test("an assignment of another generation, or of a former life, is not taken", async () => {
  const group = new Group();
  group.isNew = false;
  const division = group.add("a");
  const joined = { generationId: 1, leaderId: "a", memberId: "a", members: [] };
  const memberMetadata = await division.subscribe();
  const [own] = await division.assign(
    { ...joined, members: [{ memberId: "a", memberMetadata }] },
    await client(),
  );
  const { memberAssignment } = own!;
  const later = { ...joined, generationId: 2 };
  assertThrows(() => division.take(later, memberAssignment), Error);
  const reborn = group.add("a");
  assertThrows(() => reborn.take(joined, memberAssignment), Error);
  assertThrows(
    () => division.take(joined, encodeAssignment(new Map(), new Uint8Array([9]))),
    Error,
  );
  assertEquals(division.view, null);
  // It does not say the same again: it would be given the same again.
  assert((await division.subscribe()).toHex() !== memberMetadata.toHex());
  division.take(joined, memberAssignment);
  assertEquals(division.view?.generation, 1);
  division.over();
  assertEquals(division.view, null);
  assert(decodeSharingAssignment(userDataIn(memberAssignment)));
});

Deno.test("a store of checkpoints that does not answer keeps no member out of the group", async () => {
  const group = new Group();
  let answers: () => Promise<boolean> = () => Promise.resolve(false);
  const away = () => Promise.reject(new LostError("The store of checkpoints does not answer"));
  group.add("a", { hasCheckpoints: () => answers() });
  group.isNew = false;
  assertEquals(shareOf((await group.next()).get("a")), [[0, 2, 4], [1, 3, 5], [0, 1, 2]]);
  answers = away;
  assertEquals(shareOf((await group.next()).get("a")), [[0, 2, 4], [1, 3, 5], [0, 1, 2]]);
  // A newcomer that has never seen it waits for it.
  group.add("b", { hasCheckpoints: away });
  await assertRejects(() => group.next(), LostError);
  group.members.delete("b");
  // The group has lost its offsets meanwhile: nobody begins anew by what was known before.
  group.isNew = true;
  const parts = await group.next();
  assert(parts.get("a") instanceof LostError);
  assertEquals(group.started, []);
  answers = () => Promise.resolve(true);
  await group.next();
  assertEquals(group.started.map((text) => text.endsWith("true")), [true]);
});
