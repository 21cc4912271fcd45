import type { StandBy } from "../log/mod.ts";
import type { ActiveGeneration } from "./active_generation.ts";
import type { ActiveProcess } from "./active_process.ts";
import type { JoinedGroup } from "./client/internals.ts";
import type { KafkaClient } from "./client/kafka_client.ts";

/** What an assignment makes of this member. */
export type Role = ActiveGeneration | StandBy;

/** What each member is given. */
export interface MemberAssignment {
  readonly memberId: string;
  readonly memberAssignment: Uint8Array;
}

/** How the members of a group divide its partitions: one way for all that are in it at the same time. */
export interface Division {
  /** Name of the protocol: the coordinator takes members of one alone. */
  readonly protocol: string;
  /** Heartbeats follow each other after so long at the most. */
  readonly heartbeatMs: number;
  /** What this member says when it joins; see assignments.ts. */
  subscribe(): Promise<Uint8Array>;
  /**
   * What the leader of a generation gives to its members.
   *
   * @throws {StopError} when the leader itself is not fit to be one of them
   */
  assign(joined: JoinedGroup, client: KafkaClient): Promise<readonly MemberAssignment[]>;
  /**
   * Reads what this member was given; called before {@link begin}, while the watch over another still goes on.
   *
   * @returns the process that this one is to watch over; null = none
   * @throws {StopError} when this member is refused
   */
  take(joined: JoinedGroup, assignment: Uint8Array): ActiveProcess | null;
  /**
   * Begins the generation: what has to be done before anyone may claim.
   *
   * @throws an error of RebalanceInProgress when the group is to be joined anew at once
   */
  begin(joined: JoinedGroup, client: () => Promise<KafkaClient>): Promise<Role>;
  /** A generation is over: its role is of no use any more. */
  over(): void;
  /** The group has forgotten this member, and may have gone on without it. */
  forget(): void;
}

export function isActive(role: Role): role is ActiveGeneration {
  return "generation" in role;
}
