// What each member of the group says of itself when it joins, and what the leader answers to one that cannot
// take over from the others: who writes to other topics, or folds otherwise, is not a stand-by.

import { StopError } from "../log/mod.ts";
import { decodeUtf8, encodeUtf8 } from "../types/mod.ts";

/** Settings that all members must share, by name. */
export type SharedFacts = Readonly<Record<string, string>>;

/** A member, as it joins. */
export interface MemberFacts {
  /** The generation in which this life of the member was first taken into the group; 0 = it is new. */
  readonly since: number;
  readonly shared: SharedFacts;
}

const FACTS = /^stockflow1 since=(0|[1-9][0-9]*) shared=(\{.*\})$/s;
const REFUSED = /^stockflow1 refused=(.+)$/s;

export function encodeFacts({ since, shared }: MemberFacts): Uint8Array {
  return encodeUtf8(`stockflow1 since=${since} shared=${JSON.stringify(shared)}`);
}

/** What a member says of itself; null when it says nothing, as those of earlier versions. */
export function decodeFacts(userData: Uint8Array): MemberFacts | null {
  const [, since, shared] = FACTS.exec(decodeUtf8(userData) ?? "") ?? [];
  if (shared === undefined) return null;
  try {
    const entries = Object.entries(JSON.parse(shared) as object);
    return {
      since: Number(since),
      shared: Object.fromEntries(entries.map(([name, value]) => [name, String(value)])),
    };
  } catch {
    return null;
  }
}

/** What the leader answers to a member that cannot take over from the others. */
export function encodeRefusal(difference: string): Uint8Array {
  return encodeUtf8(`stockflow1 refused=${difference}`);
}

/** Why this member is refused; null when it is not. */
export function decodeRefusal(userData: Uint8Array): string | null {
  return REFUSED.exec(decodeUtf8(userData) ?? "")?.[1] ?? null;
}

/**
 * The members that differ from the one that has been in the group for the longest, and how: the newcomer is
 * refused, not the group. If all are new, the leader is the measure. Who says nothing of itself is taken as it
 * is.
 */
export function refusedMembers(
  members: ReadonlyMap<string, MemberFacts | null>,
  leaderId: string,
): Map<string, string> {
  const known = [...members].flatMap(([id, facts]) => facts ? [{ id, ...facts }] : []);
  const longest = known.filter((m) => m.since > 0).toSorted((a, b) => a.since - b.since)[0] ??
    known.find((m) => m.id === leaderId);
  if (!longest) return new Map();
  return new Map(
    known.map((m) => [m.id, differenceOf(m.shared, longest.shared)] as const)
      .filter(([, difference]) => difference !== ""),
  );
}

export function differenceOf(here: SharedFacts, there: SharedFacts): string {
  return Object.keys({ ...here, ...there }).filter((name) => here[name] !== there[name])
    .map((name) => `${name} is ${shown(here[name])} here and ${shown(there[name])} there`)
    .join("; ");
}

function shown(value: string | undefined): string {
  return value === undefined || value === "" ? "not set" : value;
}

/** The error of a member that is refused. */
export function refusal(groupId: string, difference: string): StopError {
  return new StopError(
    `Group ${groupId} has members that run otherwise: ${difference}`,
    "start this one as they were started, or with another kafka.group.id; to change it, stop all of them in good " +
      "order first, which leaves a checkpoint",
  );
}
