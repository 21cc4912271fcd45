// What a process may claim: when, of which partitions, and under which transactional id.

import type { ActiveGeneration } from "./active_generation.ts";
import { toJobError } from "./kafka_session.ts";
import type { Membership } from "./membership.ts";
import type { TopicsView } from "./topics_view.ts";
import type { TopicWatch } from "./topic_watch.ts";
import { queryTransactionalId, slotId, transactionalId } from "./transactional_ids.ts";
import type { GroupMember } from "./transactional_producer.ts";

/** A claim that a member may make, with the topics as they are. */
export interface ConfirmedClaim<M extends GroupMember = GroupMember> {
  readonly member: M;
  readonly view: TopicsView;
}

/**
 * Waits until this process is the active one of its group, and all topics are there.
 *
 * @throws {StopError} when the job cannot go on with the topics as they are
 */
export async function confirmedClaim(
  membership: Membership,
  watch: TopicWatch,
  signal?: AbortSignal,
): Promise<ConfirmedClaim<ActiveGeneration>> {
  const member = await membership.confirmed(signal);
  const ended = signal ? AbortSignal.any([signal, member.ended]) : member.ended;
  try {
    return { member, view: await watch.whole(ended) };
  } catch (error) {
    throw toJobError(error);
  }
}

/** What of a claim depends on how the group divides its partitions. */
export interface ClaimedShare {
  readonly partitions: readonly number[];
  readonly transactionalId: string;
}

/** @param wanted what the worker asks for, where nobody else says what it is to have */
export function claimOfWorker(
  member: ActiveGeneration,
  groupId: string,
  wanted: readonly number[],
  worker: number,
): ClaimedShare {
  const partitions = member.partitionsOf(worker) ?? wanted;
  member.claim(partitions);
  const { share } = member;
  const id = share ? slotId(groupId, share.slot, worker) : transactionalId(groupId, worker);
  return { partitions, transactionalId: id };
}

export function claimOfQueries(
  member: ActiveGeneration,
  groupId: string,
  all: readonly number[],
): ClaimedShare {
  const { share } = member;
  member.claim([]);
  return share
    ? { partitions: share.queries, transactionalId: slotId(groupId, share.slot, "q") }
    : { partitions: all, transactionalId: queryTransactionalId(groupId) };
}
