import { getLogger } from "@logtape/logtape";
import { LostError, StopError } from "../log/mod.ts";
import type { Waits } from "../engine/mod.ts";
import type { StandBy } from "../log/mod.ts";
import type { Clock } from "../types/mod.ts";
import { ActiveGeneration } from "./active_generation.ts";
import { type ActiveProcess, isSame } from "./active_process.ts";
import { type Ask, watchActive } from "./active_watch.ts";
import { Confirmations } from "./confirmations.ts";
import { ErrorCode, errorCodeOf, isFenced, isUnavailable, reasonOf } from "./client/errors.ts";
import { type JoinedGroup, protocolError } from "./client/internals.ts";
import { type ConnectionOptions, KafkaClient } from "./client/kafka_client.ts";
import { type Division, isActive } from "./division.ts";
import { GroupConnection } from "./group_connection.ts";
import { Heartbeats } from "./heartbeats.ts";
import { toJobError } from "./kafka_session.ts";

const log = getLogger(["stockflow", "kafka"]);

const BACK_OFF_FIRST_MS = 50;
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
  /** How its members divide the partitions. */
  readonly division: Division;
  /** How another process is asked whether it lives. */
  readonly ask: Ask;
  readonly clock: Clock;
  /** Where it is reported that something is waited for. */
  readonly waits?: Waits;
  /** Tries in a row, without an acknowledged heartbeat between them, when the group refuses for good. */
  readonly retries: number;
}

/** Keeps this process in the consumer group: joins its generations, and takes its part in each of them. */
export class Membership {
  #memberId = "";
  /** Whether the group was looked at before this process joined it for the first time. */
  #isChecked = false;
  #active: ActiveGeneration | null = null;
  readonly #confirmations = new Confirmations(() => this.#present, () => this.#heartbeats.ask());
  #failure: Error | null = null;
  /** When the last heartbeat was acknowledged; monotonic ms. */
  #acknowledgedAt = -Infinity;
  readonly #heartbeats: Heartbeats;
  #rejoin = false;
  #standsBy: StandBy | null = null;
  /** The process that this one watches over, and the end of the watch. */
  #watched: { readonly active: ActiveProcess; readonly over: AbortController } | null = null;
  /** Refusals since the last acknowledged heartbeat. */
  #refusals = 0;
  readonly #stop = new AbortController();
  #done: Promise<void> = Promise.resolve();

  /** The group is left when no session is open. */
  #isLeaving = false;

  readonly #connection: GroupConnection;
  /**
   * A connection for joins alone: a broker answers nothing else over it as long as one waits for the other members, and
   * one of them may have to be taken out.
   */
  readonly #joins: GroupConnection;

  constructor(readonly options: MembershipOptions) {
    this.#heartbeats = new Heartbeats(options.clock);
    this.#connection = new GroupConnection(options, this.#stop.signal);
    this.#joins = new GroupConnection(options, this.#stop.signal);
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
  confirmed(signal?: AbortSignal): Promise<ActiveGeneration> {
    return this.#confirmations.ask(signal);
  }

  /** While another process is active a heartbeat confirms nothing. */
  get #present(): ActiveGeneration | Error | null {
    if (this.#failure) return this.#failure;
    return this.#stop.signal.aborted ? new LostError("The claim was given up") : this.#active;
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
    this.#heartbeats.ask();
  }

  connected(): Promise<KafkaClient> {
    return this.#connection.client();
  }

  /** Nothing is claimed any more: leaves the group once no session is open, whatever else this process does then. */
  leave(): void {
    this.#isLeaving = true;
    this.#active?.whenReleased(() => this.#stop.abort());
  }

  /** Leaves the group, so that another takes over at once. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#joins.drop(); // nothing else ends a join, which waits for other members
    // The same of a request that hangs: the group is left over another connection.
    const client = this.#connection.current;
    const done = new AbortController();
    void this.options.clock.sleep(LEAVE_MS, done.signal).then(() => {
      if (!client || client !== this.#connection.current || done.signal.aborted) return;
      this.#connection.drop();
      void this.#connection.client();
    });
    await this.#done;
    done.abort();
    this.#connection.drop(); // others may have asked for it since
  }

  #endGeneration(reason: Error): void {
    this.#standsBy = null;
    this.options.division.over();
    this.#active?.end(reason);
    this.#active = null;
    this.#confirmations.look();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    try {
      try {
        this.#memberId = await this.options.memberIds.load();
      } catch (error) {
        reportNotKept(error);
      }
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
    const { clock, division } = this.options;
    const joined = await this.#join();
    if (!joined) return;
    const { memberId, generationId: generation } = joined;
    try {
      const part = await division.begin(joined, () => this.#connection.client());
      if (isActive(part)) {
        // Taking over takes time: whether the group still counts on this process is asked anew.
        await this.#heartbeat(memberId, generation);
        this.#active = part;
        log.info("This process is {part} of group {group}, generation {generation}", {
          part: part.share ? "an active one" : "the active one",
          group: this.options.groupId,
          generation,
        });
        this.#confirmations.look();
        if (this.#isLeaving) this.leave();
      } else {
        log.info("Another process of group {group} is active; this one stands by", {
          group: this.options.groupId,
        });
        this.#standsBy = part;
      }
      await this.#beat(memberId, generation);
    } catch (error) {
      const code = errorCodeOf(error);
      if (code === ErrorCode.UnknownMember) this.#forget();
      if (code === ErrorCode.RebalanceInProgress) {
        void this.#joins.client(); // meanwhile
        // The generation counts until all have joined the next one.
        const { sessionTimeoutMs } = this.options;
        await this.#active?.wind(clock, Math.min(WIND_MS_MAX, sessionTimeoutMs / WIND_PART));
      }
      this.#endGeneration(new LostError("The group has a new generation"));
      if (isFenced(error)) return; // also while it took over: one who was faster did so too
      if (!isLater(error)) throw error;
      this.#connection.failed(error);
      this.#connection.drop();
      await clock.sleep(BACK_OFF_FIRST_MS, this.#stop.signal);
    }
  }

  /**
   * Takes a process out of the group, so that the group need not wait for its session. Should it live after all,
   * it is fenced off as any other that lost its claim.
   */
  async #takeOut({ memberId, address }: ActiveProcess): Promise<void> {
    const { groupId } = this.options;
    log.warn("A process of group {group} at {address} is gone: it is taken out", {
      group: groupId,
      address,
    });
    await this.#connection.call((c) => c.leaveGroup({ groupId, memberId })).catch((error) => {
      // Its session may have ended meanwhile, or another that stands by was faster.
      if (errorCodeOf(error) === ErrorCode.UnknownMember || this.#stop.signal.aborted) return;
      log.info("It could not be taken out: {reason}", { reason: reasonOf(error) });
    });
    this.#heartbeats.ask(); // which shows that there is a new generation to join
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
    const { groupId, sessionTimeoutMs, division } = this.options;
    try {
      if (!this.#isChecked) await this.#connection.checkProtocol();
      this.#isChecked = true;
      const metadata = await division.subscribe();
      const joined = await this.#joins.call((c) =>
        c.joinGroup({
          groupId,
          sessionTimeout: sessionTimeoutMs,
          rebalanceTimeout: sessionTimeoutMs,
          memberId: this.#memberId,
          groupProtocols: [{ name: division.protocol, metadata }],
        })
      );
      await this.#remember(joined.memberId);
      const groupAssignment = joined.leaderId === joined.memberId
        ? await division.assign(joined, await this.#connection.client())
        : [];
      const { memberAssignment } = await this.#joins.call((c) =>
        c.syncGroup({
          groupId,
          generationId: joined.generationId,
          memberId: joined.memberId,
          groupAssignment,
        })
      );
      this.#joins.drop(); // brokers close what is not used for minutes
      // Until here the watch went on: a join may be waiting for the one that is gone.
      this.#watch(division.take(joined, memberAssignment));
      return joined;
    } catch (error) {
      const code = errorCodeOf(error);
      if (code === ErrorCode.MemberIdRequired) {
        await this.#remember((error as unknown as { memberId: string }).memberId);
      } else if (code === ErrorCode.UnknownMember) this.#forget();
      else if (code === ErrorCode.InconsistentGroupProtocol) {
        throw new StopError(
          `Group ${groupId} has members that are not stockflow jobs, or have another kafka.partitions.shared than ` +
            `this one, or are of another version (this one divides partitions by ${division.protocol})`,
          "stop them, or set another kafka.group.id; to change kafka.partitions.shared, or from a version to another " +
            "that divides otherwise, stop all processes of the group, then start all; one that was killed counts until " +
            "kafka.session.timeout.ms is over",
          { cause: error },
        );
      } else if (code !== ErrorCode.IllegalGeneration && code !== ErrorCode.RebalanceInProgress) {
        if (!isLater(error)) throw error;
        if (this.#stop.signal.aborted) return null; // the connection is needed to leave the group
        this.#connection.failed(error); // what the leader has to know could not be read
        this.#connection.drop();
        this.#joins.drop();
        await this.options.clock.sleep(BACK_OFF_FIRST_MS, this.#stop.signal);
      }
      return null;
    }
  }

  /** The group has forgotten this member, and may have gone on without it: it is a newcomer again. */
  #forget(): void {
    this.#memberId = "";
    this.options.division.forget();
  }

  async #remember(memberId: string): Promise<void> {
    if (memberId === this.#memberId) return;
    this.#memberId = memberId;
    try {
      await this.options.memberIds.save(memberId);
    } catch (error) {
      reportNotKept(error);
    }
  }

  /** Heartbeats until one is refused. */
  async #beat(memberId: string, generation: number): Promise<void> {
    const send = async (counts: () => boolean) => {
      if (this.#rejoin) {
        this.#rejoin = false;
        throw protocolError(ErrorCode.RebalanceInProgress);
      }
      await this.#heartbeat(memberId, generation, counts);
      this.#refusals = 0;
    };
    const { heartbeatMs } = this.options.division;
    await this.#heartbeats.run(heartbeatMs, send, this.#stop.signal);
  }

  /**
   * One heartbeat that is acknowledged.
   *
   * @param counts whether its answer counts when it comes: another generation may have begun
   */
  async #heartbeat(
    memberId: string,
    groupGenerationId: number,
    counts = () => true,
  ): Promise<void> {
    const { clock, groupId } = this.options;
    const from = clock.monotonic();
    const number = this.#confirmations.begin();
    try {
      await this.#connection.call((c) => c.heartbeat({ groupId, groupGenerationId, memberId }));
    } catch (error) {
      // The coordinator has looked at member and generation before it says so: the next one has not begun.
      if (counts() && errorCodeOf(error) === ErrorCode.RebalanceInProgress) {
        this.#acknowledge(number, from);
      }
      throw error;
    }
    if (!counts()) return;
    this.#acknowledge(number, from);
    this.#connection.answered();
  }

  #acknowledge(number: number, from: number): void {
    // As of the moment when it was sent: the coordinator counts from then at the earliest.
    this.#acknowledgedAt = Math.max(this.#acknowledgedAt, from);
    this.#confirmations.acknowledge(number);
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

/** Without the id a restart waits for the end of its old session, which is not a reason not to join. */
const reportNotKept = (error: unknown) =>
  log.warn("The id in the group is not kept: {reason}", { reason: reasonOf(error) });

/** Whether it may be tried again without end: brokers, leaders or the store of checkpoints are not there now. */
function isLater(error: unknown): boolean {
  return isUnavailable(error) || error instanceof LostError;
}
