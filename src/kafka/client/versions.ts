// What a broker must offer. kafkajs finds a version of its own requests that both sides know; the requests
// that go past it have one version each.

import { StopError } from "../../log/mod.ts";

/** Ranges of versions that a broker offers, by the key of the request. */
export type OfferedVersions = Readonly<
  Record<number, { readonly minVersion: number; readonly maxVersion: number }>
>;

interface Needed {
  readonly name: string;
  readonly key: number;
  readonly version: number;
  /** The first Apache Kafka that offers it. */
  readonly since: string;
}

/** In the order in which releases brought them, the youngest first. */
const NEEDED: readonly Needed[] = [
  { name: "OffsetFetch", key: 9, version: 7, since: "2.5" },
  { name: "TxnOffsetCommit", key: 28, version: 3, since: "2.5" },
  { name: "Metadata", key: 3, version: 9, since: "2.4" },
  { name: "JoinGroup", key: 11, version: 5, since: "2.3" },
  { name: "Fetch", key: 1, version: 11, since: "2.3" },
  { name: "Produce", key: 0, version: 8, since: "2.4" },
];

/** The oldest Apache Kafka that offers everything. */
export const OLDEST_BROKER = "2.5";

/**
 * Looks whether a broker offers every request that is sent to it.
 *
 * @throws {StopError} naming the first request that it does not offer
 */
export function checkVersions(offered: OfferedVersions): void {
  for (const { name, key, version, since } of NEEDED) {
    const range = offered[key];
    if (range && range.minVersion <= version && version <= range.maxVersion) continue;
    const found = range
      ? `versions ${range.minVersion} to ${range.maxVersion} of ${name}`
      : `no ${name}`;
    const isNewer = range !== undefined && range.minVersion > version;
    throw new StopError(
      `The brokers are too ${
        isNewer ? "new" : "old"
      }: they offer ${found}, and version ${version} is needed` +
        (isNewer ? "" : ` (Apache Kafka ${since})`),
      `use Apache Kafka ${OLDEST_BROKER} to 4.x`,
    );
  }
}
