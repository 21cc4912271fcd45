// What simulated brokers may refuse each request with.

import { ErrorCode as E } from "../../../src/kafka/client/errors.ts";
import type { FaultKind } from "../plan.ts";

type Refusals = Partial<Record<FaultKind, readonly number[]>>;

/** What is answered for a coordinator that is not there. */
export const COORDINATOR_ERRORS = [
  E.CoordinatorLoading,
  E.CoordinatorNotAvailable,
  E.NotCoordinator,
];
const GROUP: Refusals = {
  "coordinator not there": COORDINATOR_ERRORS,
  "not allowed": [E.GroupAuthorizationFailed, E.UnsupportedVersion],
};
const MEMBER: Refusals = {
  ...GROUP,
  "member refused": [E.UnknownMember, E.IllegalGeneration, E.RebalanceInProgress],
};
const TRANSACTION: Refusals = {
  "coordinator not there": COORDINATOR_ERRORS,
  "transaction busy": [E.ConcurrentTransactions],
  "producer fenced": [
    E.InvalidProducerEpoch,
    E.InvalidTransactionState,
    E.InvalidProducerIdMapping,
    E.TransactionCoordinatorFenced,
    E.ProducerFenced,
  ],
  "not allowed": [E.TransactionalIdAuthorizationFailed, E.ClusterAuthorizationFailed],
};
const REFUSALS = {
  Metadata: {},
  DescribeConfigs: {},
  FindCoordinator: {},
  JoinGroup: {
    ...MEMBER,
    "not allowed": [E.GroupAuthorizationFailed, E.InconsistentGroupProtocol],
  },
  SyncGroup: MEMBER,
  Heartbeat: MEMBER,
  LeaveGroup: GROUP,
  OffsetFetch: { ...GROUP, "transaction busy": [E.UnstableOffsetCommit] },
  ListOffsets: {
    "leader not there": [E.UnknownTopicOrPartition, E.LeaderNotAvailable, E.NotLeader],
  },
  InitProducerId: { ...TRANSACTION, "producer fenced": [] },
  AddPartitionsToTxn: TRANSACTION,
  AddOffsetsToTxn: TRANSACTION,
  EndTxn: TRANSACTION,
  TxnOffsetCommit: {
    ...MEMBER,
    "producer fenced": TRANSACTION["producer fenced"]!,
  },
  Produce: {
    "leader not there": [E.UnknownTopicOrPartition, E.LeaderNotAvailable, E.NotLeader],
    "producer fenced": [
      E.OutOfOrderSequence,
      E.InvalidProducerEpoch,
      E.UnknownProducerId,
      E.InvalidTransactionState,
    ],
    "not allowed": [E.TopicAuthorizationFailed],
  },
  Fetch: {
    "leader not there": [E.UnknownTopicOrPartition, E.LeaderNotAvailable, E.NotLeader],
    "not allowed": [E.TopicAuthorizationFailed, E.CorruptMessage],
  },
} satisfies Record<string, Refusals>;

export type Api = keyof typeof REFUSALS;

/** Codes that a request may be refused with, by the fault that does it. */
export function refusalsOf(api: Api): [FaultKind, readonly number[]][] {
  return Object.entries(REFUSALS[api]) as [FaultKind, readonly number[]][];
}
