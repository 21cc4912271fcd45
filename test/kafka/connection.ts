import type { BrokerInternals, Cluster } from "../../src/kafka/client/internals.ts";
import type { ConnectionOptions } from "../../src/kafka/client/kafka_client.ts";

/** Connections to one broker that answers as asked. */
export function connectionTo(broker: Partial<BrokerInternals>): ConnectionOptions {
  const found = () => Promise.resolve(broker as BrokerInternals);
  const nothing = () => Promise.resolve();
  const cluster: Cluster = {
    brokerPool: { metadata: null, versions: null },
    connect: nothing,
    disconnect: nothing,
    refreshMetadata: nothing,
    addMultipleTargetTopics: nothing,
    findTopicPartitionMetadata: () => [{ partitionId: 0, leader: 0 }],
    findBroker: found,
    findControllerBroker: found,
    findGroupCoordinator: found,
  };
  return { brokers: [], clientId: "test", createCluster: () => cluster };
}
