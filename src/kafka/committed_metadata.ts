// What a committed offset's metadata says, beside the offset: where the state began, the fired
// watermark, a hash of the fold parameters, and which log the offset is of. Tools that reset offsets
// leave none of it. See docs/formats.md; the forms before have no secret, the first has no identity of the log: they are
// still read.
//
//   stockflow3 start=<offset|none> watermark=<ms|none> fold=<hash|none> topic=<id|none> last=<offset:crc|none>
//     secret=<32 digits|none> raised=<offset|none>
//   stockflow2 start=<offset|none> watermark=<ms|none> fold=<hash|none> topic=<id|none> last=<offset:crc|none>
//   stockflow1 start=<offset|none> watermark=<ms|none> fold=<hash|none>

import type { CommittedPosition } from "../log/mod.ts";
import { StopError } from "../types/mod.ts";
import { NO_TIME } from "../wasm/mod.ts";

/** A record batch as it stands in a log: a topic that was created anew has another one there. */
export interface BatchCrc {
  readonly baseOffset: number;
  /** The CRC32C field. */
  readonly crc: number;
}

/** Which log an offset is of. */
export interface LogIdentity {
  /** The topic's id (KIP-516); null where brokers have none, or it was not kept. */
  readonly topicId: string | null;
  /** The last batch below the offset; null where it is not known. */
  readonly last: BatchCrc | null;
}

export interface CommittedEntry {
  readonly position: CommittedPosition;
  readonly identity: LogIdentity;
}

export const UNKNOWN_LOG: LogIdentity = { topicId: null, last: null };

/** Of the offset of a sink, which says which log it is of. The form before was the topic's id alone. */
const SINK_FORM = "stockflow-sink1";
const TOPIC_ID = /^[A-Za-z0-9_-]{22}$/;

const POSITION =
  "start=(none|0|[1-9][0-9]*) watermark=(none|-?[0-9]+) fold=(none|[0-9a-f]+)" as const;
const IDENTITY = "topic=(none|[A-Za-z0-9_-]{22}) last=(none|([0-9]+):([0-9a-f]{8}))" as const;
/** Groups of it. */
const IDENTITY_GROUPS = 4;
const SECRET = "secret=(none|[0-9a-f]{32}) raised=(none|0|[1-9][0-9]*)" as const;
const PATTERN = new RegExp(
  `^stockflow(?:1 ${POSITION}|2 ${POSITION} ${IDENTITY}|3 ${POSITION} ${IDENTITY} ${SECRET})$`,
);
const SINK_PATTERN = new RegExp(`^${SINK_FORM} ${IDENTITY}$`);
/** The forms that are read, for people. */
const FORMS = "stockflow1 to stockflow3";
/** Groups of the pattern for each form: where they begin, and behind the last one. */
const GROUPS = [[1, 4], [4, 11], [11, 20]] as const;

export function encodeMetadata(
  { start, watermark, parametersHash, secret, raisedAt }: Omit<CommittedPosition, "offset">,
  identity: LogIdentity,
): string {
  const fired = watermark === NO_TIME ? "none" : watermark;
  return `stockflow3 start=${start ?? "none"} watermark=${fired} fold=${
    parametersHash || "none"
  } ` +
    `${identityText(identity)} secret=${secret ?? "none"} raised=${raisedAt ?? "none"}`;
}

function identityText({ topicId, last }: LogIdentity): string {
  const batch = last ? `${last.baseOffset}:${last.crc.toString(16).padStart(8, "0")}` : "none";
  return `topic=${topicId ?? "none"} last=${batch}`;
}

/** What is written with the offset of a sink. */
export function encodeSinkMetadata(identity: LogIdentity): string {
  return `${SINK_FORM} ${identityText(identity)}`;
}

/** Which log the offset of a sink is of; nothing is known of one that a tool has set. */
export function decodeSinkMetadata(metadata: string): LogIdentity {
  if (TOPIC_ID.test(metadata)) return { topicId: metadata, last: null };
  const found = SINK_PATTERN.exec(metadata);
  return found ? identityFrom(found.slice(1)) : UNKNOWN_LOG;
}

/** @param groups of the pattern of an identity */
function identityFrom([topic, last, base, crc]: readonly (string | undefined)[]): LogIdentity {
  return {
    topicId: topic === undefined || topic === "none" ? null : topic,
    last: last === undefined || last === "none"
      ? null
      : { baseOffset: Number(base), crc: parseInt(crc!, 16) },
  };
}

/** What an offset with its metadata says; null when the metadata is not ours. */
export function decodeMetadata(offset: number, metadata: string): CommittedEntry | null {
  const found = PATTERN.exec(metadata);
  if (!found) return null;
  const groups = GROUPS.find(([from]) => found[from] !== undefined)!;
  const [start, watermark, fold, ...rest] = found.slice(...groups);
  const [secret, raised] = rest.slice(IDENTITY_GROUPS);
  return {
    position: {
      offset,
      start: start === "none" ? null : Number(start),
      watermark: watermark === "none" ? NO_TIME : BigInt(watermark!),
      parametersHash: fold === "none" ? "" : fold!,
      secret: secret === undefined || secret === "none" ? null : secret,
      raisedAt: raised === undefined || raised === "none" ? null : Number(raised),
    },
    identity: identityFrom(rest),
  };
}

/** Why an offset's metadata is not read. Whoever goes back to an earlier version is not advised to remove offsets. */
export function notReadable(what: string, metadata: string): StopError {
  const [form] = /^stockflow[0-9]+(?= )/.exec(metadata) ?? [];
  if (form !== undefined) {
    return new StopError(
      `${what} was written by another version of stockflow, as ${form}; this version reads ${FORMS}: ` +
        `its metadata is ${JSON.stringify(metadata)}`,
      "start the version that wrote it, or a later one; nothing was changed",
    );
  }
  return new StopError(
    `${what} is not of this job: its metadata is ${JSON.stringify(metadata)}`,
    "a tool has set it, and so the state up to there is not known; use another kafka.group.id with an " +
      "empty file for the state, or remove the group's offsets to start from the beginning",
  );
}
