import { differenceOf } from "../member_facts.ts";
import type { SharingSubscription } from "./sharing_subscription.ts";

/**
 * Members that cannot share with the others, and why. The measure is one that was in the group before, so that the
 * newcomer is refused, not the group; if all are new, the leader.
 */
export function refusedOf(
  members: readonly { memberId: string; subscription: SharingSubscription | null }[],
  leaderId: string,
): Map<string, string> {
  const refused = new Map<string, string>();
  const known = members.flatMap(({ memberId, subscription }) =>
    subscription ? [{ memberId, ...subscription }] : []
  );
  const newest = Math.max(0, ...known.map(({ table }) => table?.generation ?? 0));
  const before = known.filter(({ table }) => newest > 0 && table?.generation === newest);
  const measure = before.find((m) => m.memberId === leaderId) ?? before[0] ??
    known.find((m) => m.memberId === leaderId);
  for (const { memberId, subscription } of members) {
    const why = subscription
      ? measure ? differenceOf(subscription.shared, measure.shared) : ""
      : "it is of another version";
    if (why !== "") refused.set(memberId, why);
  }
  return refused;
}
