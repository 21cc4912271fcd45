// ConsumerGroupDescribe v0 (KIP-848): whether a group is one of the new consumer protocol. A flexible version
// behind kafkajs's older request header: the body begins with the header's empty tag byte, and so does the
// answer.

import type { Exchange } from "../client/internals.ts";
import { Reader, Writer } from "./wire.ts";

export const CONSUMER_GROUP_DESCRIBE = 69;

export interface DescribedGroup {
  /** 0 for a group of the new protocol; GROUP_ID_NOT_FOUND for one of the classic protocol, or none. */
  readonly errorCode: number;
  /** Such as Empty or Stable. */
  readonly state: string;
}

interface DescribeAnswer {
  readonly clientSideThrottleTime: number;
  readonly group: DescribedGroup;
}

export function consumerGroupDescribeExchange(groupId: string): Exchange<DescribeAnswer> {
  const encode = () => {
    const w = new Writer().noTags();
    w.compactArray([groupId], (id) => w.compactString(id));
    return w.int8(0).noTags().encoded(); // no authorized operations
  };
  const decode = (payload: Uint8Array): DescribeAnswer => {
    const r = new Reader(payload);
    r.tags();
    const clientSideThrottleTime = r.int32();
    r.varint(); // one group
    const errorCode = r.int16();
    r.compactString(); // message
    r.compactString(); // id
    const state = r.compactString() ?? "";
    return { clientSideThrottleTime, group: { errorCode, state } };
  };
  return {
    request: {
      apiKey: CONSUMER_GROUP_DESCRIBE,
      apiVersion: 0,
      apiName: "ConsumerGroupDescribe",
      encode,
    },
    response: { decode, parse: (answer) => answer },
  };
}
