// OffsetCommit v5 for a group without members: generation -1 and an empty member id, as a consumer of Kafka's own
// sends it that was assigned its partitions.

import { type Exchange, protocolError } from "../client/internals.ts";
import type { CommittedOffset } from "./offsets.ts";
import { Reader, Writer } from "./wire.ts";

const OFFSET_COMMIT = 8;
const NO_GENERATION = -1;

interface CommitAnswer {
  readonly clientSideThrottleTime: number;
  readonly errorCode: number;
}

export function offsetCommitExchange(
  groupId: string,
  topic: string,
  offsets: readonly CommittedOffset[],
): Exchange<CommitAnswer> {
  const encode = () => {
    const w = new Writer().string(groupId).int32(NO_GENERATION).string("");
    w.int32(1).string(topic);
    w.array(offsets, ({ partition, offset, metadata }) => {
      w.int32(partition).int64(offset).string(metadata);
    });
    return w.encoded();
  };
  return {
    request: { apiKey: OFFSET_COMMIT, apiVersion: 5, apiName: "OffsetCommit", encode },
    response: {
      decode,
      parse: (answer) => {
        if (answer.errorCode !== 0) throw protocolError(answer.errorCode);
        return answer;
      },
    },
  };
}

function decode(payload: Uint8Array): CommitAnswer {
  const r = new Reader(payload);
  const clientSideThrottleTime = r.int32();
  const codes = r.array(() => {
    r.string();
    return r.array(() => {
      r.int32();
      return r.int16();
    });
  }).flat();
  return { clientSideThrottleTime, errorCode: codes.find((code) => code !== 0) ?? 0 };
}
