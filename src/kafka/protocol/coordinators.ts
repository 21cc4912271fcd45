// FindCoordinator v4 (KIP-699, Apache Kafka 3.0): the coordinators of many ids by one request. A flexible version behind
// kafkajs's older request header; see offsets.ts.

import type { Exchange } from "../client/internals.ts";
import { Reader, Writer } from "./wire.ts";

export const FIND_COORDINATOR_API_KEY = 10;
export const FIND_COORDINATORS_VERSION = 4;

export interface FoundCoordinator {
  /** Of a group, or a transactional id. */
  readonly id: string;
  readonly nodeId: number;
  /** 0, or why it is not known. */
  readonly errorCode: number;
}

interface CoordinatorsAnswer {
  readonly clientSideThrottleTime: number;
  readonly coordinators: readonly FoundCoordinator[];
}

/** @param type 0 = of groups, 1 = of transactional ids */
export function findCoordinatorsExchange(
  type: number,
  ids: readonly string[],
): Exchange<CoordinatorsAnswer> {
  const encode = () => {
    const w = new Writer().noTags().int8(type);
    w.compactArray(ids, (id) => w.compactString(id));
    return w.noTags().encoded();
  };
  const decode = (payload: Uint8Array): CoordinatorsAnswer => {
    const r = new Reader(payload);
    r.tags();
    const clientSideThrottleTime = r.int32();
    const coordinators = r.compactArray((): FoundCoordinator => {
      const id = r.compactString() ?? "";
      const nodeId = r.int32();
      r.compactString(); // host
      r.int32(); // port
      const errorCode = r.int16();
      r.compactString(); // message
      r.tags();
      return { id, nodeId, errorCode };
    });
    return { clientSideThrottleTime, coordinators };
  };
  return {
    request: {
      apiKey: FIND_COORDINATOR_API_KEY,
      apiVersion: FIND_COORDINATORS_VERSION,
      apiName: "FindCoordinator",
      encode,
    },
    response: { decode, parse: (answer) => answer },
  };
}
