// What the active process gives to those that stand by, as user data of their assignments.

import { decodeUtf8, encodeUtf8 } from "../types/mod.ts";

/** The active process of a group, as those that stand by know it. */
export interface ActiveProcess {
  readonly memberId: string;
  /** Id of its life: another one after every start. */
  readonly life: string;
  /** host:port of its HTTP API; null = none that others could ask. */
  readonly address: string | null;
}

const PATTERN = /^stockflow1 instance=([0-9a-f-]+) address=(\S+) member=(.+)$/;

export function encodeActive({ memberId, life, address }: ActiveProcess): Uint8Array {
  return encodeUtf8(
    `stockflow1 instance=${life} address=${address ?? "none"} member=${memberId}`,
  );
}

/** The active process that user data name; null when they are not ours. */
export function decodeActive(userData: Uint8Array): ActiveProcess | null {
  const [, life, address, memberId] = PATTERN.exec(decodeUtf8(userData) ?? "") ?? [];
  if (memberId === undefined) return null;
  return { memberId, life: life!, address: address === "none" ? null : address! };
}

export function isSame(a: ActiveProcess, b: ActiveProcess): boolean {
  return a.memberId === b.memberId && a.life === b.life && a.address === b.address;
}
