// Metadata v8 and DescribeGroups v3 with the operations that the user may do (KIP-430), which kafkajs does not have.

import { type Exchange, protocolError } from "../client/internals.ts";
import { Reader, Writer } from "./wire.ts";

const METADATA = 3;
const DESCRIBE_GROUPS = 15;

/** Operations by their numbers in Kafka's AclOperation: each is a bit of an answer. */
export const Operation = { Read: 3, Write: 4 } as const;

export interface Rights {
  readonly errorCode: number;
  /** A bit per operation. */
  readonly operations: number;
}

export function mayDo(
  { operations }: Rights,
  operation: (typeof Operation)[keyof typeof Operation],
): boolean {
  return (operations & (1 << operation)) !== 0;
}

interface Answered<T> {
  readonly clientSideThrottleTime: number;
  readonly found: T;
}

const asItIs = <T>(answer: T): T => answer;

/** What the user may do with topics, by topic. None is created. */
export function topicRightsExchange(
  topics: readonly string[],
): Exchange<Answered<ReadonlyMap<string, Rights>>> {
  const encode = () => {
    const w = new Writer();
    w.array(topics, (topic) => w.string(topic));
    // No creation; operations of topics, not of the cluster.
    return w.int8(0).int8(0).int8(1).encoded();
  };
  const decode = (payload: Uint8Array) => {
    const r = new Reader(payload);
    const int32 = () => r.int32();
    const clientSideThrottleTime = r.int32();
    r.array(() => [r.int32(), r.string(), r.int32(), r.nullableString()]);
    r.nullableString(); // cluster
    r.int32(); // controller
    const found = r.array((): [string, Rights] => {
      const errorCode = r.int16();
      const topic = r.string();
      r.int8(); // internal
      r.array(() => {
        r.int16();
        for (let i = 0; i < 3; i++) r.int32(); // partition, leader, its epoch
        for (let i = 0; i < 3; i++) r.array(int32); // replicas, in sync, offline
      });
      return [topic, { errorCode, operations: r.int32() }];
    });
    return { clientSideThrottleTime, found: new Map(found) };
  };
  return {
    request: { apiKey: METADATA, apiVersion: 8, apiName: "Metadata", encode },
    response: { decode, parse: asItIs },
  };
}

/** What the user may do with a group; sent to its coordinator. A group that does not exist yet counts too. */
export function groupRightsExchange(group: string): Exchange<Answered<Rights>> {
  const encode = () => {
    const w = new Writer();
    w.array([group], (name) => w.string(name));
    return w.int8(1).encoded();
  };
  const decode = (payload: Uint8Array) => {
    const r = new Reader(payload);
    const clientSideThrottleTime = r.int32();
    const [found] = r.array((): Rights => {
      const errorCode = r.int16();
      for (let i = 0; i < 4; i++) r.string(); // id, state, protocol type, protocol
      r.array(() => {
        for (let i = 0; i < 3; i++) r.string(); // member, client, host
        for (let i = 0; i < 2; i++) r.bytes(r.int32()); // metadata, assignment
      });
      return { errorCode, operations: r.int32() };
    });
    if (!found) throw new RangeError("Kafka describes no group");
    return { clientSideThrottleTime, found };
  };
  const parse = (answer: Answered<Rights>) => {
    if (answer.found.errorCode !== 0) throw protocolError(answer.found.errorCode);
    return answer;
  };
  return {
    request: { apiKey: DESCRIBE_GROUPS, apiVersion: 3, apiName: "DescribeGroups", encode },
    response: { decode, parse },
  };
}
