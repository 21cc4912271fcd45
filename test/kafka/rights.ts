// Rights of users at a broker that has an authorizer, given by a stock client: Java's tool for it takes seconds each.

import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  Kafka,
  logLevel,
  ResourcePatternTypes,
} from "kafkajs";

const OPERATIONS = {
  All: AclOperationTypes.ALL,
  Read: AclOperationTypes.READ,
  Write: AclOperationTypes.WRITE,
  Describe: AclOperationTypes.DESCRIBE,
} as const;

/** What a right is about; "*" = all of them. */
type Resource =
  | { readonly topic: string }
  | { readonly group: string }
  /** The beginning of transactional ids. */
  | { readonly transactionalIds: string };

/** Allows a user some operations, or denies them, which weighs more. */
export async function setRights(
  bootstrap: string,
  user: string,
  what: "allow" | "deny",
  operations: readonly (keyof typeof OPERATIONS)[],
  resource: Resource,
): Promise<void> {
  const [kind, name] = Object.entries(resource)[0]!;
  const isPrefix = kind === "transactionalIds";
  const acl = operations.map((operation) => ({
    resourceType: kind === "topic"
      ? AclResourceTypes.TOPIC
      : kind === "group"
      ? AclResourceTypes.GROUP
      : AclResourceTypes.TRANSACTIONAL_ID,
    resourceName: name,
    resourcePatternType: isPrefix ? ResourcePatternTypes.PREFIXED : ResourcePatternTypes.LITERAL,
    principal: `User:${user}`,
    host: "*",
    operation: OPERATIONS[operation],
    permissionType: what === "allow" ? AclPermissionTypes.ALLOW : AclPermissionTypes.DENY,
  }));
  const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    await admin.createAcls({ acl });
  } finally {
    await admin.disconnect();
  }
}
