import { getLogger } from "@logtape/logtape";
import { Waiters } from "../../engine/waiters.ts";
import { type ClusterView, LostError } from "../../log/mod.ts";
import type { ProcessLife } from "../../service/mod.ts";
import type { Chance } from "../../types/mod.ts";
import { ActiveGeneration } from "../active_generation.ts";
import type { ActiveProcess } from "../active_process.ts";
import { encodeAssignment, encodeSubscription, userDataIn, userDataOf } from "../assignments.ts";
import { ErrorCode, reasonOf } from "../client/errors.ts";
import { type JoinedGroup, protocolError } from "../client/internals.ts";
import type { KafkaClient } from "../client/kafka_client.ts";
import type { Division, MemberAssignment, Role } from "../division.ts";
import { refusal, type SharedFacts } from "../member_facts.ts";
import type { GroupMember } from "../transactional_producer.ts";
import { refusedOf } from "./refused_members.ts";
import { type JoinedMember, sharePartitions } from "./share_partitions.ts";
import { decodeSharingAssignment, encodeSharingAssignment } from "./sharing_assignment.ts";
import {
  type ClearedSlot,
  decodeSharing,
  encodeSharing,
  type OwnedPartition,
  type OwnedPartitions,
} from "./sharing_subscription.ts";
import { type SharingTable, watchedBy } from "./sharing_table.ts";
import { type LoadOf, shareAmongWorkers } from "./worker_shares.ts";

const log = getLogger(["stockflow", "kafka"]);

/**
 * The protocol by which the members share the partitions. With the first one, who was asked for an item made sure that it
 * still had the partition; now who asks does.
 */
const SHARED_PROTOCOL = "stockflow-shared-2";

const NONE: OwnedPartitions = { memberId: "", confirmed: 0, partitions: [] };

export interface StartFacts {
  readonly slot: number;
  /** Whether a member has checkpoints of the log. */
  readonly hasCheckpoints: boolean;
}

export interface SharedDivisionOptions {
  readonly groupId: string;
  readonly heartbeatMs: number;
  /** Partitions by input topic. */
  readonly inputs: () => ReadonlyMap<string, number>;
  /** The inputs' topics by their roles. */
  readonly topics: { readonly transactions: string; readonly queries: string };
  /** This process, as the others know it. */
  readonly life: Pick<ProcessLife, "id" | "address">;
  /** What all members must share. */
  readonly shared: SharedFacts;
  /** Workers of this process. */
  readonly workers: number;
  readonly chance: Chance;
  /** How much is folded of a partition of transactions here. */
  readonly loadOf: LoadOf;
  /** Whether the first offsets of the group are to be committed; the leader asks. */
  isStarting(client: KafkaClient): Promise<boolean>;
  /** Whether this process has checkpoints of the log. */
  hasCheckpoints(): Promise<boolean>;
  /**
   * Commits them, as the leader of a generation in which nobody else commits anything.
   *
   * @throws {StopError} when a member has checkpoints: the group has lost its offsets
   */
  start(client: KafkaClient, member: GroupMember, at: StartFacts): Promise<void>;
  /** Initialises the transactional ids of a slot whose process is gone, which ends what is open of them. */
  clear(client: KafkaClient, slot: number, workers: number): Promise<void>;
}

/**
 * All members have a share of the partitions, as the table of the leader says.
 *
 * Each generation begins for a member with the answer to its SyncGroup, and all that it had before has ended by then:
 * it commits, closes its sessions, and joins. So no partition has two owners in one generation, and none has two
 * workers.
 */
export class SharedDivision implements Division {
  readonly protocol = SHARED_PROTOCOL;
  #owned: OwnedPartitions = NONE;
  #slot = -1;
  #cleared: ClearedSlot[] = [];
  /** The table of the last assignment, and whether its generation goes on. */
  #table: SharingTable | null = null;
  #isCurrent = false;
  #workers: ReadonlyMap<number, number> = new Map();
  /** Whether this process has checkpoints, as far as was known last; null = it is not known yet. */
  #hadCheckpoints: boolean | null = null;
  /** Whether a member had checkpoints when this one led the group last. */
  #hasCheckpoints = false;
  /** Assignments that could not be taken. */
  #attempt = 0;
  readonly #changes = new Waiters();

  constructor(readonly options: SharedDivisionOptions) {}

  get heartbeatMs(): number {
    return this.options.heartbeatMs;
  }

  // ---- for others ----

  get view(): ClusterView | null {
    return this.#isCurrent && this.#table ? viewOf(this.#table, this.options.life.id) : null;
  }

  changed(signal: AbortSignal): Promise<void> {
    return this.#changes.wait(signal);
  }

  // ---- the group ----

  async subscribe(): Promise<Uint8Array> {
    const { life, workers, shared, inputs } = this.options;
    const userData = encodeSharing({
      life: life.id,
      address: life.address,
      capacity: workers,
      slot: this.#slot,
      owned: this.#owned,
      cleared: this.#cleared,
      hasCheckpoints: await this.#knownCheckpoints(),
      attempt: this.#attempt,
      shared,
      table: this.#table,
    });
    return encodeSubscription([...inputs().keys()], userData);
  }

  /** A store that does not answer must not keep the process out of the group: others would wait for it. */
  async #knownCheckpoints(): Promise<boolean> {
    if (this.#hadCheckpoints) return true;
    try {
      this.#hadCheckpoints = await this.options.hasCheckpoints();
    } catch (error) {
      if (this.#hadCheckpoints === null || !(error instanceof LostError)) throw error;
    }
    return this.#hadCheckpoints;
  }

  async assign(joined: JoinedGroup, client: KafkaClient): Promise<readonly MemberAssignment[]> {
    const { groupId, inputs, life, chance } = this.options;
    const members = joined.members.map(({ memberId, memberMetadata }) => {
      const userData = userDataOf(memberMetadata);
      return { memberId, subscription: userData && decodeSharing(userData) };
    });
    const refused = refusedOf(members, joined.leaderId);
    const own = refused.get(joined.leaderId);
    if (own !== undefined) throw refusal(groupId, own);
    const fit = members.filter((m): m is JoinedMember => !refused.has(m.memberId));
    this.#hasCheckpoints = fit.some(({ subscription }) => subscription.hasCheckpoints);
    const table = sharePartitions(fit, {
      generation: joined.generationId,
      leader: life.id,
      nonce: Math.floor(chance() * 2 ** 32),
      starting: await this.options.isStarting(client),
      inputs: inputs(),
    });
    return members.map(({ memberId }) => {
      const why = refused.get(memberId);
      const userData = encodeSharingAssignment(why === undefined ? { table } : { refused: why });
      const index = table.members.findIndex((m) => m.memberId === memberId);
      const partitions = new Map(table.inputs.map((input) => [input.topic, ownedBy(input, index)]));
      return { memberId, memberAssignment: encodeAssignment(partitions, userData) };
    });
  }

  take({ generationId, memberId }: JoinedGroup, assignment: Uint8Array): ActiveProcess | null {
    const given = decodeSharingAssignment(userDataIn(assignment));
    if (given && "refused" in given) throw refusal(this.options.groupId, given.refused);
    // Who joined behind the leader's back, or is given what another generation was to have, joins anew.
    const table = given?.table;
    const self = table?.members.findIndex((m) => isSelf(m, memberId, this.options.life)) ?? -1;
    if (!table || table.generation !== generationId || self < 0) {
      this.#attempt++;
      throw protocolError(ErrorCode.RebalanceInProgress);
    }
    this.#table = table;
    this.#isCurrent = true;
    this.#slot = table.members[self]!.slot;
    this.#cleared = this.#cleared.filter((c) => table.lost.some((lost) => isSame(c, lost)));
    const partitions = table.inputs.flatMap((input) =>
      ownedBy(input, self).map((partition): OwnedPartition => ({
        topic: input.topic,
        partition,
        since: input.since[partition]!,
      }))
    );
    this.#owned = { memberId, confirmed: generationId, partitions };
    this.#changes.wake();
    const watched = table.members.find((_, m) => m !== self && watchedBy(table, m) === self);
    return watched
      ? { memberId: watched.memberId, life: watched.life, address: watched.address }
      : null;
  }

  async begin(joined: JoinedGroup, client: () => Promise<KafkaClient>): Promise<Role> {
    const { memberId, generationId: generation, leaderId } = joined;
    const table = this.#table!;
    const self = table.members.findIndex((m) => m.memberId === memberId);
    this.#clear(table, self, client);
    if (table.state === "starting") {
      if (leaderId !== memberId) return { active: null };
      // What members said may be older than the last checkpoint.
      const hasCheckpoints = this.#hasCheckpoints || await this.options.hasCheckpoints();
      const at = { slot: this.#slot, hasCheckpoints };
      await this.options.start(await client(), { memberId, generation }, at);
      throw protocolError(ErrorCode.RebalanceInProgress); // now there is something to share
    }
    const { topics, workers, loadOf } = this.options;
    const of = (topic: string) =>
      table.inputs.filter((input) => input.topic === topic).flatMap((i) => ownedBy(i, self));
    this.#workers = shareAmongWorkers(this.#workers, of(topics.transactions), workers, loadOf);
    const share = { slot: this.#slot, workers: this.#workers, queries: of(topics.queries) };
    log.info(
      "Generation {generation} of group {group}: {mine} of {all} partitions of {members} processes are here",
      {
        generation,
        group: this.options.groupId,
        mine: this.#workers.size,
        all: table.inputs.find((input) => input.topic === topics.transactions)?.owners.length ?? 0,
        members: table.members.length,
      },
    );
    return new ActiveGeneration(memberId, generation, share);
  }

  over(): void {
    this.#isCurrent = false;
    this.#changes.wake();
  }

  forget(): void {
    this.#owned = NONE;
    this.#slot = -1;
    this.#cleared = [];
    this.over();
  }

  /**
   * Initialises the ids of lost slots that the table gives to this member, beside everything else: a slow coordinator of
   * transactions must not hold the group. What fails is named by the next table again.
   */
  #clear(table: SharingTable, self: number, client: () => Promise<KafkaClient>): void {
    for (const lost of table.lost) {
      if (lost.clearedBy !== self || this.#cleared.some((c) => isSame(c, lost))) continue;
      const cleared = async () => {
        await this.options.clear(await client(), lost.slot, lost.workers);
        this.#cleared.push({ slot: lost.slot, since: lost.since });
      };
      cleared().catch((error) => {
        log.info("The transactional ids of slot {slot} are not initialised yet: {reason}", {
          slot: lost.slot,
          reason: reasonOf(error),
        });
      });
    }
  }
}

function ownedBy({ owners }: SharingTable["inputs"][number], member: number): number[] {
  if (member < 0) return [];
  return owners.flatMap((owner, partition) => owner === member ? [partition] : []);
}

function isSelf(
  { memberId, life }: SharingTable["members"][number],
  own: string,
  { id }: Pick<ProcessLife, "id">,
): boolean {
  return memberId === own && life === id;
}

function isSame(a: ClearedSlot, b: ClearedSlot): boolean {
  return a.slot === b.slot && a.since === b.since;
}

function viewOf(table: SharingTable, life: string): ClusterView {
  const { generation, nonce, state, members, inputs } = table;
  return {
    generation,
    nonce,
    state,
    members: members.map(({ memberId, life, address, capacity }, index) => {
      const watcher = watchedBy(table, index);
      return { memberId, life, address, capacity, watchedBy: watcher < 0 ? null : watcher };
    }),
    self: members.findIndex((m) => m.life === life),
    leader: members.findIndex((m) => m.life === table.leader),
    inputs,
  };
}
