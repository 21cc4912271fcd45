// A consumer group as its coordinator keeps it: members, generations, committed offsets.

import { ErrorCode } from "../../../src/kafka/client/errors.ts";
import { type JoinedGroup, protocolError } from "../../../src/kafka/client/internals.ts";
import { isSameBytes } from "../../../src/types/mod.ts";
import type { CommittedOffset } from "../../../src/kafka/protocol/offsets.ts";
import type { SimProcess } from "../process.ts";
import type { SimEvent } from "../scheduler.ts";
import type { Sim } from "../sim.ts";

/** Until a group without members waits for others, in ms. */
const FIRST_JOIN_MS = 30;

interface GroupMember {
  readonly memberId: string;
  process: SimProcess;
  readonly sessionTimeoutMs: number;
  /** What it said when it joined last. */
  metadata: Uint8Array;
  /** Ends its session. */
  expiry: SimEvent;
  join: PromiseWithResolvers<JoinedGroup> | null;
  sync: PromiseWithResolvers<{ memberAssignment: Uint8Array }> | null;
}

export class Group {
  readonly #members = new Map<string, GroupMember>();
  /** Ids that were given out and have not joined. */
  readonly #invited = new Set<string>();
  #state: "empty" | "joining" | "syncing" | "stable" = "empty";
  #leader = "";
  #deadline: SimEvent | null = null;
  /** What the leader of the generation has assigned, by member. */
  #assignments: ReadonlyMap<string, Uint8Array> = new Map();
  /** What a coordinator that takes over finds: the last generation with assignments. */
  #stored: { readonly generation: number; readonly members: ReadonlySet<string> } | null = null;
  #ids = 0;
  generation = 0;
  /** Committed offsets by topic and partition, as `topic/partition`. */
  readonly offsets = new Map<string, CommittedOffset>();

  constructor(readonly sim: Sim) {}

  /** What happens to a topic's offsets when it is deleted. */
  forgetOffsets(topic: string): void {
    for (const name of [...this.offsets.keys()]) {
      if (name.startsWith(`${topic}/`)) this.offsets.delete(name);
    }
  }

  join(
    memberId: string,
    sessionTimeoutMs: number,
    process: SimProcess,
    metadata: Uint8Array,
  ): Promise<JoinedGroup> {
    if (memberId === "") {
      const id = `member ${this.#ids++}`;
      this.#invited.add(id);
      throw Object.assign(protocolError(ErrorCode.MemberIdRequired), { memberId: id });
    }
    let member = this.#members.get(memberId);
    if (!member && !this.#invited.delete(memberId)) throw protocolError(ErrorCode.UnknownMember);
    if (!member) {
      member = {
        memberId,
        process,
        sessionTimeoutMs,
        metadata,
        expiry: this.#expiry(memberId, sessionTimeoutMs),
        join: null,
        sync: null,
      };
      this.#members.set(memberId, member);
    }
    member.process = process;
    const isSame = isSameBytes(member.metadata, metadata);
    member.metadata = metadata;
    this.#alive(member);
    const known = member.join;
    member.join = Promise.withResolvers();
    // Who asks again is the one to be answered.
    known?.promise.catch(() => {});
    const answer = member.join.promise;
    const follower = this.#state === "stable" && memberId !== this.#leader;
    // Who says the same as before is given what it was given before.
    if (follower && isSame && member.sync === null && !this.#isNew(member)) this.#answer(member);
    else if (this.#state !== "joining") this.#rebalance(sessionTimeoutMs);
    this.#completeIfAll();
    return answer;
  }

  /** Members that have been part of a generation. */
  readonly #taken = new Set<string>();

  #isNew({ memberId }: GroupMember): boolean {
    return !this.#taken.has(memberId);
  }

  #rebalance(timeoutMs: number): void {
    const first = this.#state === "empty";
    this.#state = "joining";
    for (const member of this.#members.values()) {
      member.sync?.reject(protocolError(ErrorCode.RebalanceInProgress));
      member.sync = null;
    }
    if (this.#deadline) this.#deadline.run = null;
    this.#deadline = this.sim.scheduler.after(first ? FIRST_JOIN_MS : timeoutMs, () => {
      for (const { memberId, join } of this.#members.values()) {
        if (!join) this.#drop(memberId);
      }
      this.#complete();
    });
  }

  #completeIfAll(): void {
    if (this.#state !== "joining" || this.generation === 0) return;
    if ([...this.#members.values()].every((m) => m.join)) this.#complete();
  }

  #complete(): void {
    if (this.#deadline) this.#deadline.run = null;
    this.#deadline = null;
    if (this.#state !== "joining") return;
    this.generation++;
    this.#taken.clear();
    for (const id of this.#members.keys()) this.#taken.add(id);
    if (!this.#members.has(this.#leader)) this.#leader = this.#members.keys().next().value ?? "";
    this.#state = this.#members.size === 0 ? "empty" : "syncing";
    this.sim.trace("group", () => `generation ${this.generation}: ${[...this.#members.keys()]}`);
    for (const member of this.#members.values()) this.#answer(member);
  }

  #answer(member: GroupMember): void {
    member.join?.resolve({
      generationId: this.generation,
      leaderId: this.#leader,
      memberId: member.memberId,
      members: member.memberId === this.#leader
        ? [...this.#members.values()].map(({ memberId, metadata }) => ({
          memberId,
          memberMetadata: metadata,
        }))
        : [],
    });
    member.join = null;
    this.#alive(member);
  }

  /** @param assignments of all members, if it is the leader's */
  sync(
    memberId: string,
    generation: number,
    assignments: readonly { readonly memberId: string; readonly memberAssignment: Uint8Array }[],
  ): Promise<{ memberAssignment: Uint8Array }> {
    const member = this.#member(memberId, generation);
    if (this.#state === "joining") throw protocolError(ErrorCode.RebalanceInProgress);
    const answer = (id: string) => ({
      memberAssignment: this.#assignments.get(id) ?? new Uint8Array(),
    });
    if (this.#state === "stable") return Promise.resolve(answer(memberId));
    member.sync = Promise.withResolvers();
    const { promise } = member.sync;
    if (memberId === this.#leader) {
      this.#state = "stable";
      this.#assignments = new Map(assignments.map((a) => [a.memberId, a.memberAssignment]));
      this.#stored = { generation, members: new Set(this.#members.keys()) };
      for (const each of this.#members.values()) {
        each.sync?.resolve(answer(each.memberId));
        each.sync = null;
      }
    }
    return promise;
  }

  /**
   * Another broker is the coordinator from now on. A generation without assignments was not stored: the one before goes
   * on, and its number is given out again.
   */
  failOver(): void {
    if (this.#state !== "joining" && this.#state !== "syncing") return;
    const stored = this.#stored;
    for (const member of this.#members.values()) {
      member.join?.reject(protocolError(ErrorCode.NotCoordinator));
      member.sync?.reject(protocolError(ErrorCode.NotCoordinator));
      member.join = member.sync = null;
    }
    for (const id of [...this.#members.keys()]) if (!stored?.members.has(id)) this.#drop(id);
    if (this.#deadline) this.#deadline.run = null;
    this.#deadline = null;
    this.sim.trace("group", () => `goes back to generation ${stored?.generation ?? 0}`);
    this.generation = stored?.generation ?? 0;
    this.#taken.clear();
    for (const id of this.#members.keys()) this.#taken.add(id);
    this.#state = this.#members.size === 0 ? "empty" : "stable";
    // Who has left meanwhile is remembered no more than that: the others go on without it.
    const isWhole = [...stored?.members ?? []].every((id) => this.#members.has(id));
    if (this.#state === "stable" && (!isWhole || !this.#members.has(this.#leader))) {
      this.#rebalance([...this.#members.values()][0]!.sessionTimeoutMs);
    }
  }

  heartbeat(memberId: string, generation: number): void {
    this.#alive(this.#member(memberId, generation));
    if (this.#state === "joining") throw protocolError(ErrorCode.RebalanceInProgress);
  }

  /** @param process who says that the member leaves */
  leave(memberId: string, process: SimProcess): void {
    const member = this.#members.get(memberId);
    if (!member) throw protocolError(ErrorCode.UnknownMember);
    if (member.process !== process && member.process.alive) this.sim.count("false eviction");
    this.forget(memberId);
  }

  /** The member is not part of the group any more, and does not hear of it. */
  forget(memberId: string): void {
    const member = this.#members.get(memberId);
    if (!member) return;
    this.#drop(memberId);
    if (this.#state === "joining") return this.#completeIfAll();
    if (this.#members.size === 0) {
      this.#state = "empty";
      this.generation++;
    } else this.#rebalance(member.sessionTimeoutMs);
  }

  #drop(memberId: string): void {
    const member = this.#members.get(memberId)!;
    member.expiry.run = null;
    this.#members.delete(memberId);
    this.sim.trace("group", () => `${memberId} is out`);
  }

  /** Whether offsets may be committed by a member of a generation; an error code, 0 = yes. */
  refusal(memberId: string, generation: number): number {
    if (!this.#members.has(memberId)) return ErrorCode.UnknownMember;
    return generation === this.generation ? 0 : ErrorCode.IllegalGeneration;
  }

  /** The same of the offsets in a transaction. */
  refusalOfCommit(memberId: string, generation: number): number {
    return this.refusal(memberId, generation);
  }

  #member(memberId: string, generation: number): GroupMember {
    const code = this.refusal(memberId, generation);
    if (code !== 0) throw protocolError(code);
    return this.#members.get(memberId)!;
  }

  #alive(member: GroupMember): void {
    member.expiry.run = null;
    member.expiry = this.#expiry(member.memberId, member.sessionTimeoutMs);
  }

  #expiry(memberId: string, ms: number): SimEvent {
    return this.sim.scheduler.after(ms, () => {
      const member = this.#members.get(memberId);
      // Who waits for a join is heard of by that.
      if (member?.join) this.#alive(member);
      else if (member) this.forget(memberId);
    });
  }
}
