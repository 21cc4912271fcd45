// Errors as kafkajs makes them.

// @ts-types="../../../src/kafka/client/untyped.d.ts"
import errors from "kafkajs/src/errors.js";

const { KafkaJSConnectionError, KafkaJSBrokerNotFound, KafkaJSGroupCoordinatorNotFound } =
  errors as Record<string, new (message: string) => Error>;

export function connectionError(reason: string): Error {
  return new KafkaJSConnectionError!(`${reason} (simulated)`);
}

export function brokerNotFound(nodeId: string): Error {
  return new KafkaJSBrokerNotFound!(`Broker ${nodeId} not found (simulated)`);
}

export function coordinatorNotFound(): Error {
  return new KafkaJSGroupCoordinatorNotFound!("Failed to find group coordinator (simulated)");
}
