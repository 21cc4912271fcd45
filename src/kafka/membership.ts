import { getLogger } from "@logtape/logtape";
import { LostError, StopError } from "../log/mod.ts";
import type { Instance } from "../service/mod.ts";
import type { Waits } from "../engine/mod.ts";
import type { StandBy } from "../log/mod.ts";
import type { Clock } from "../types/mod.ts";
import { ActiveGeneration } from "./active_generation.ts";
import { type ActiveProcess, decodeActive, encodeActive, isSame } from "./active_process.ts";
import { type Ask, watchActive } from "./active_watch.ts";
import { encodeAssignment, encodeSubscription, factsIn, userDataIn } from "./assignments.ts";
import { ErrorCode, errorCodeOf, isFenced, isUnavailable } from "./client/errors.ts";
import { reasonOf } from "./client/errors.ts";
import { type JoinedGroup, protocolError } from "./client/internals.ts";
import { type ConnectionOptions, KafkaClient } from "./client/kafka_client.ts";
import { GroupConnection } from "./group_connection.ts";
import { toJobError } from "./kafka_session.ts";
import {
  decodeRefusal,
  encodeRefusal,
  refusal,
  refusedMembers,
  type SharedFacts,
} from "./member_facts.ts";
import type { GroupMember } from "./transactional_producer.ts";

const log = getLogger(["stockflow", "kafka"]);

/** The protocol by which members of the group share partitions: the leader takes all of them. */
const ASSIGNOR = "stockflow-one-active";
const BACK_OFF_FIRST_MS = 50;
/** Heartbeats in a session time-out. */
const HEARTBEATS = 10;
const LEAVE_MS = 2000;
/** How long sessions have to commit and close before a join; also no longer than a part of the session. */
const WIND_MS_MAX = 2000;
const WIND_PART = 4;

/** Where the member id is kept, so that a restart need not wait for its old session. */
export interface MemberIds {
  load(): Promise<string>;
  save(memberId: string): Promise<void>;
}

export interface MembershipOptions {
  readonly connection: ConnectionOptions;
  readonly groupId: string;
  readonly sessionTimeoutMs: number;
  /** Partitions by input topic. */
  readonly inputs: () => ReadonlyMap<string, number>;
  readonly memberIds: MemberIds;
  /** This process, as those that stand by know it. */
  readonly instance: Pick<Instance, "id" | "address">;
  /** What all members must share. */
  readonly shared?: SharedFacts;
  /** How the active process is asked whether it lives. */
  readonly ask: Ask;
  readonly clock: Clock;
  /** Where it is reported that something is waited for. */
  readonly waits?: Waits;
  /** Tries in a row, without an acknowledged heartbeat between them, when the group refuses for good. */
  readonly retries: number;
  /** Is called after every join as the active member, before anyone may claim. */
  onActive(client: KafkaClient, member: GroupMember): Promise<void>;
}

/** Keeps this process in the consumer group: one member is active, the others stand by and take over. */
export class Membership {
  #memberId = "";
  /** The generation in which the group first took this member in, as far as it remembers; 0 = not yet. */
  #since = 0;
  #active: ActiveGeneration | null = null;
  #changed = Promise.withResolvers<void>();
  #failure: Error | null = null;
  /** When the last heartbeat was acknowledged; monotonic ms. */
  #acknowledgedAt = -Infinity;
  #beatNow: (() => void) | null = null;
  #rejoin = false;
  #standsBy: StandBy | null = null;
  /** The active process while this one stands by, and the end of the watch over it. */
  #watched: { readonly active: ActiveProcess; readonly over: AbortController } | null = null;
  /** Refusals since the last acknowledged heartbeat. */
  #refusals = 0;
  readonly #stop = new AbortController();
  /** Whether the group is asked for its next generation, which may wait for other members. */
  #joining = false;
  #done: Promise<void> = Promise.resolve();

  readonly #connection: GroupConnection;

  constructor(readonly options: MembershipOptions) {
    this.#connection = new GroupConnection(options, this.#stop.signal);
  }

  start(): void {
    this.#done = this.#run();
  }

  /** Whether the group's coordinator has acknowledged this process within the session time-out. */
  get isFresh(): boolean {
    const { clock, sessionTimeoutMs } = this.options;
    return this.#active !== null && clock.monotonic() - this.#acknowledgedAt < sessionTimeoutMs;
  }

  /**
   * The active generation, confirmed by a heartbeat after this call. Waits as long as another process
   * is active, or the brokers are not there.
   *
   * @throws {StopError} when the membership failed for good
   */
  async confirmed(signal?: AbortSignal): Promise<ActiveGeneration> {
    const from = this.options.clock.monotonic();
    const aborted = Promise.withResolvers<void>();
    const giveUp = () => aborted.resolve();
    signal?.addEventListener("abort", giveUp);
    try {
      while (true) {
        if (this.#failure) throw this.#failure;
        if (signal?.aborted || this.#stop.signal.aborted) {
          throw new LostError("The claim was given up");
        }
        if (this.#active && this.#acknowledgedAt > from) return this.#active;
        // While another process is active a heartbeat confirms nothing.
        if (this.#active) this.#beatNow?.();
        await Promise.race([this.#changed.promise, aborted.promise]);
      }
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  /** The generation in which this process is the active one; null while it is not. */
  get active(): ActiveGeneration | null {
    return this.#active;
  }

  /** Set while another process is known to be active. */
  get standsBy(): StandBy | null {
    return this.#standsBy;
  }

  /** The active generation with that number. */
  generation(number: number): ActiveGeneration | null {
    return this.#active?.generation === number ? this.#active : null;
  }

  /** Ends the membership with an error that only a person can help with. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#endGeneration(error);
    this.#stop.abort();
  }

  /** Begins a new generation: what is assigned has changed. */
  rejoin(): void {
    this.#rejoin = true;
    this.#beatNow?.();
  }

  connected(): Promise<KafkaClient> {
    return this.#connection.client();
  }

  /** Leaves the group, so that another takes over at once. */
  async close(): Promise<void> {
    this.#stop.abort();
    // Nothing else ends a request: a join waits for other members. The group is left over other connections.
    const client = this.#connection.current;
    const done = new AbortController();
    void this.options.clock.sleep(this.#joining ? 0 : LEAVE_MS, done.signal).then(() => {
      if (!client || client !== this.#connection.current || done.signal.aborted) return;
      this.#connection.drop();
      void this.#connection.client();
    });
    await this.#done;
    done.abort();
  }

  #announce(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #endGeneration(reason: Error): void {
    this.#standsBy = null;
    this.#active?.end(reason);
    this.#active = null;
    this.#announce();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    try {
      this.#memberId = await this.options.memberIds.load();
      while (!signal.aborted) await this.#generation().catch((error) => this.#refused(error));
    } catch (error) {
      if (!signal.aborted) this.fail(toJobError(error));
    }
    this.#watched?.over.abort();
    this.#endGeneration(this.#failure ?? new LostError("The job leaves its group"));
    await this.#leave();
  }

  /** Goes on after an error that is not transient, so often; else it ends the membership. */
  async #refused(error: unknown): Promise<void> {
    const { clock, groupId, retries } = this.options;
    const known = toJobError(error);
    if (known instanceof StopError || this.#stop.signal.aborted) throw known;
    const { message } = known;
    if (++this.#refusals > retries) {
      throw new StopError(
        `Group ${groupId} was refused ${this.#refusals} times in a row: ${message}`,
        "change what it refuses; kafka.retries sets how often it is tried",
        { cause: error },
      );
    }
    log.error("Group {group} is refused: {message}; trying again", { group: groupId, message });
    this.#connection.drop();
    await clock.sleep(BACK_OFF_FIRST_MS * 2 ** this.#refusals, this.#stop.signal);
  }

  /** One generation: join, be active or stand by, until the group changes. */
  async #generation(): Promise<void> {
    const { clock } = this.options;
    const joined = await this.#join();
    if (!joined) return;
    const { memberId, generationId: generation } = joined;
    try {
      if (joined.leaderId === memberId) {
        const client = await this.#connection.client();
        await this.options.onActive(client, { memberId, generation });
        // Taking over takes time: whether the group still counts on this process is asked anew.
        await this.#heartbeat(memberId, generation);
        this.#active = new ActiveGeneration(memberId, generation);
        log.info("This process is the active one of group {group}, generation {generation}", {
          group: this.options.groupId,
          generation,
        });
        this.#announce();
      } else {
        log.info("Another process of group {group} is active; this one stands by", {
          group: this.options.groupId,
        });
        this.#standsBy = { active: this.#watched?.active.address ?? null };
      }
      await this.#beat(memberId, generation);
    } catch (error) {
      const code = errorCodeOf(error);
      if (code === ErrorCode.UnknownMember) this.#forget();
      if (code === ErrorCode.RebalanceInProgress) {
        // The generation counts until all have joined the next one.
        const { sessionTimeoutMs } = this.options;
        await this.#active?.wind(clock, Math.min(WIND_MS_MAX, sessionTimeoutMs / WIND_PART));
      }
      this.#endGeneration(new LostError("The group has a new generation"));
      if (isFenced(error)) return; // also while it took over: one who was faster did so too
      if (!isUnavailable(error)) throw error;
      this.#connection.failed(error);
      this.#connection.drop();
      await clock.sleep(BACK_OFF_FIRST_MS, this.#stop.signal);
    }
  }

  /**
   * Takes the active process out of the group, so that the group need not wait for its session. Should it
   * live after all, it is fenced off as any other that lost its claim.
   */
  async #takeOut({ memberId, address }: ActiveProcess): Promise<void> {
    const { groupId } = this.options;
    log.warn("The active process of group {group} at {address} is gone: it is taken out", {
      group: groupId,
      address,
    });
    await this.#connection.call((c) => c.leaveGroup({ groupId, memberId })).catch((error) => {
      // Its session may have ended meanwhile, or another that stands by was faster.
      if (errorCodeOf(error) === ErrorCode.UnknownMember || this.#stop.signal.aborted) return;
      log.info("It could not be taken out: {reason}", { reason: reasonOf(error) });
    });
    this.#beatNow?.(); // which shows that there is a new generation to join
  }

  /** Watches over the active process that an assignment names, as before if it is the same. */
  #watch(active: ActiveProcess | null): void {
    const before = this.#watched;
    if (before && active && isSame(before.active, active)) return;
    before?.over.abort();
    this.#watched = null;
    if (!active) return;
    const over = new AbortController();
    this.#watched = { active, over };
    const { ask, clock } = this.options;
    const takeOut = () => this.#takeOut(active);
    void watchActive(active, { ask, clock, takeOut }, over.signal);
  }

  async #join(): Promise<JoinedGroup | null> {
    const { groupId, sessionTimeoutMs, inputs } = this.options;
    const topics = [...inputs().keys()];
    const shared = this.options.shared ?? {};
    const metadata = encodeSubscription(topics, { since: this.#since, shared });
    this.#joining = true;
    try {
      if (this.#since === 0) await this.#connection.checkProtocol();
      const joined = await this.#connection.call((c) =>
        c.joinGroup({
          groupId,
          sessionTimeout: sessionTimeoutMs,
          rebalanceTimeout: sessionTimeoutMs,
          memberId: this.#memberId,
          groupProtocols: [{ name: ASSIGNOR, metadata }],
        })
      );
      await this.#remember(joined.memberId);
      const { memberAssignment } = await this.#connection.call((c) =>
        c.syncGroup({
          groupId,
          generationId: joined.generationId,
          memberId: joined.memberId,
          groupAssignment: joined.leaderId === joined.memberId ? this.#assign(joined) : [],
        })
      );
      const userData = userDataIn(memberAssignment);
      const refused = decodeRefusal(userData);
      if (refused !== null) throw refusal(groupId, refused);
      if (this.#since === 0) this.#since = joined.generationId;
      // Until here the watch went on: a join may be waiting for the one that is gone.
      this.#watch(joined.leaderId === joined.memberId ? null : decodeActive(userData));
      return joined;
    } catch (error) {
      const code = errorCodeOf(error);
      if (code === ErrorCode.MemberIdRequired) {
        await this.#remember((error as unknown as { memberId: string }).memberId);
      } else if (code === ErrorCode.UnknownMember) this.#forget();
      else if (code === ErrorCode.InconsistentGroupProtocol) {
        throw new StopError(
          `Group ${groupId} has members that are not stockflow jobs`,
          "stop them, or set another kafka.group.id",
          { cause: error },
        );
      } else if (code !== ErrorCode.IllegalGeneration && code !== ErrorCode.RebalanceInProgress) {
        throw error;
      }
      return null;
    } finally {
      this.#joining = false;
    }
  }

  /**
   * All partitions for the leader, none for the others, who are given its address, or why they are refused.
   *
   * @throws {StopError} when the leader itself differs from who was there before it
   */
  #assign({ members, leaderId }: JoinedGroup) {
    const facts = new Map(members.map((m) => [m.memberId, factsIn(m.memberMetadata)]));
    const refused = refusedMembers(facts, leaderId);
    const own = refused.get(leaderId);
    if (own !== undefined) throw refusal(this.options.groupId, own);
    const { id, address } = this.options.instance;
    const active = encodeActive({ memberId: leaderId, instance: id, address });
    const none: ReadonlyMap<string, number> = new Map();
    return members.map(({ memberId }) => {
      const why = refused.get(memberId);
      const userData = why === undefined ? active : encodeRefusal(why);
      const partitions = memberId === leaderId ? this.options.inputs() : none;
      return { memberId, memberAssignment: encodeAssignment(partitions, userData) };
    });
  }

  /** The group has forgotten this member, and may have gone on without it: it is a newcomer again. */
  #forget(): void {
    this.#memberId = "";
    this.#since = 0;
  }

  async #remember(memberId: string): Promise<void> {
    if (memberId === this.#memberId) return;
    this.#memberId = memberId;
    await this.options.memberIds.save(memberId);
  }

  /** Heartbeats until one is refused. */
  async #beat(memberId: string, groupGenerationId: number): Promise<void> {
    const { clock, sessionTimeoutMs } = this.options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const sooner = new AbortController();
      this.#beatNow = () => sooner.abort();
      await clock.sleep(sessionTimeoutMs / HEARTBEATS, AbortSignal.any([signal, sooner.signal]));
      this.#beatNow = null;
      if (signal.aborted) return;
      if (this.#rejoin) {
        this.#rejoin = false;
        throw protocolError(ErrorCode.RebalanceInProgress);
      }
      await this.#heartbeat(memberId, groupGenerationId);
      this.#refusals = 0;
      this.#announce();
    }
  }

  /** One heartbeat that is acknowledged. */
  async #heartbeat(memberId: string, groupGenerationId: number): Promise<void> {
    const { clock, groupId } = this.options;
    const from = clock.monotonic();
    await this.#connection.call((c) => c.heartbeat({ groupId, groupGenerationId, memberId }));
    // As of the moment when it was sent: the coordinator counts from then at the earliest.
    this.#acknowledgedAt = from;
    this.#connection.answered();
  }

  /** Reports to the coordinator that this process goes; a broker that does not answer is not waited for. */
  async #leave(): Promise<void> {
    const client = this.#connection.current;
    const { groupId, clock, memberIds } = this.options;
    if (!client) return;
    const left = this.#memberId === "" ? Promise.resolve() : client
      .then((c) => c.coordinator("group", groupId))
      .then((c) => c.leaveGroup({ groupId, memberId: this.#memberId }))
      .then(() => memberIds.save(""))
      .catch(() => {});
    await Promise.race([left, clock.sleep(LEAVE_MS)]);
    this.#connection.drop();
  }
}
