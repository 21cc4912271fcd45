// What members of the group and their leader send each other, in the frame of Kafka's consumer protocol.

import { Buffer } from "node:buffer";
import { AssignerProtocol } from "./client/internals.ts";

/**
 * A subscription of version 1 has a further field, which kafkajs does not write. Brokers do not read it, but
 * for this: one whose bytes can be read lets a consumer of the new protocol (KIP-848) turn the group into one of
 * its own, whose assignments the broker makes.
 */
const VERSION = 1;

/** What a member says when it joins. */
export function encodeSubscription(topics: readonly string[], userData: Uint8Array): Uint8Array {
  return AssignerProtocol.MemberMetadata.encode({
    version: VERSION,
    topics: [...topics],
    userData: Buffer.from(userData), // kafkajs takes anything else for a text
  });
}

/** What a member says of itself beside its topics; null when its subscription cannot be read. */
export function userDataOf(subscription: Uint8Array | undefined): Uint8Array | null {
  if (!subscription) return null;
  return AssignerProtocol.MemberMetadata.decode(subscription as never)?.userData ?? null;
}

/** @param partitions by topic */
export function encodeAssignment(
  partitions: ReadonlyMap<string, readonly number[]>,
  userData: Uint8Array,
): Uint8Array {
  return AssignerProtocol.MemberAssignment.encode({
    version: VERSION,
    assignment: Object.fromEntries([...partitions].map(([topic, some]) => [topic, [...some]])),
    userData: Buffer.from(userData),
  });
}

/** What the leader says with an assignment. */
export function userDataIn(assignment: Uint8Array): Uint8Array {
  const decoded = AssignerProtocol.MemberAssignment.decode(assignment as never);
  return decoded?.userData ?? new Uint8Array();
}
