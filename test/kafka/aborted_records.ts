// kafkajs shows records of aborted transactions where several were open at once: it takes their list to be sorted by
// where they begin, and brokers give it in the order in which they ended. Here it is given what is committed alone.

// @ts-types="./kafkajs_broker.d.ts"
import Broker from "kafkajs/src/broker/index.js";

/** A record as a fetch of kafkajs has it. */
interface Message {
  readonly offset: string;
  readonly key: Uint8Array | null;
  readonly isControlRecord: boolean;
  readonly batchContext: { readonly producerId: string; readonly inTransaction: boolean };
}

/** Of a partition, in a fetch. */
interface Fetched {
  messages: Message[];
  abortedTransactions: { readonly producerId: string; readonly firstOffset: string }[] | null;
}

/** From now on consumers of kafkajs in this process show no record of an aborted transaction. */
export function hideAbortedRecords(): void {
  const { fetch } = Broker.prototype;
  Broker.prototype.fetch = async function (request) {
    const answer = await fetch.call(this, request);
    for (const { partitions } of answer.responses) {
      for (const partition of partitions as Fetched[]) {
        partition.messages = hidden(partition);
        partition.abortedTransactions = [];
      }
    }
    return answer;
  };
}

/** What is aborted is shown as markers are: kafkajs passes it, and goes on behind it. */
function hidden({ messages, abortedTransactions }: Fetched): Message[] {
  const waiting = (abortedTransactions ?? [])
    .map(({ producerId, firstOffset }) => ({ producerId, firstOffset: Number(firstOffset) }))
    .toSorted((a, b) => a.firstOffset - b.firstOffset);
  const aborting = new Set<string>();
  return messages.map((message) => {
    const { producerId, inTransaction } = message.batchContext;
    while (waiting.length > 0 && waiting[0]!.firstOffset <= Number(message.offset)) {
      aborting.add(waiting.shift()!.producerId);
    }
    // A marker's key: its version, and 0 for an abort.
    if (message.isControlRecord && message.key?.[3] === 0) aborting.delete(producerId);
    const isAborted = inTransaction && aborting.has(producerId);
    return isAborted ? { ...message, isControlRecord: true } : message;
  });
}
