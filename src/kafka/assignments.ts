// What members of the group and their leader send each other, in the frame of Kafka's consumer protocol.

import { Buffer } from "node:buffer";
import { AssignerProtocol } from "kafkajs";
import { decodeFacts, encodeFacts, type MemberFacts } from "./member_facts.ts";

/**
 * A subscription of version 1 has a further field, which kafkajs does not write. Brokers do not read it, but
 * for this: one whose bytes can be read lets a consumer of the new protocol (KIP-848) turn the group into one of
 * its own, whose assignments the broker makes.
 */
const VERSION = 1;

/** What a member says when it joins. */
export function encodeSubscription(topics: readonly string[], facts: MemberFacts): Uint8Array {
  // kafkajs takes anything else for a text.
  const userData = Buffer.from(encodeFacts(facts));
  return AssignerProtocol.MemberMetadata.encode({
    version: VERSION,
    topics: [...topics],
    userData,
  });
}

/** What a member says of itself; null for one that says nothing, or is not one of ours. */
export function factsIn(subscription: Uint8Array | undefined): MemberFacts | null {
  if (!subscription) return null;
  const decoded = AssignerProtocol.MemberMetadata.decode(subscription as never);
  return decoded && decodeFacts(decoded.userData);
}

/** @param partitions by topic */
export function encodeAssignment(
  partitions: ReadonlyMap<string, number>,
  userData: Uint8Array,
): Uint8Array {
  const assignment = Object.fromEntries(
    [...partitions].map(([topic, n]) => [topic, Array.from({ length: n }, (_, p) => p)]),
  );
  return AssignerProtocol.MemberAssignment.encode({
    version: VERSION,
    assignment,
    userData: Buffer.from(userData),
  });
}

/** What the leader says with an assignment. */
export function userDataIn(assignment: Uint8Array): Uint8Array {
  const decoded = AssignerProtocol.MemberAssignment.decode(assignment as never);
  return decoded?.userData ?? new Uint8Array();
}
