// Rights of users at a broker that has an authorizer, given by a stock client: Java's tool for it takes seconds each.

import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  type Admin,
  Kafka,
  logLevel,
  ResourcePatternTypes,
} from "kafkajs";
import { Stage } from "./scene.ts";

const OPERATIONS = {
  All: AclOperationTypes.ALL,
  Read: AclOperationTypes.READ,
  Write: AclOperationTypes.WRITE,
  Describe: AclOperationTypes.DESCRIBE,
  DescribeConfigs: AclOperationTypes.DESCRIBE_CONFIGS,
} as const;

/** What a right is about; "*" = all of them. */
type Resource =
  | { readonly topic: string }
  | { readonly group: string }
  /** The beginning of transactional ids. */
  | { readonly transactionalIds: string };

export interface Right {
  readonly operation: keyof typeof OPERATIONS;
  readonly resource: Resource;
}

/** A user whose rights are set, by name and password, SCRAM-SHA-256. */
export const USER = "carol";
export const PASSWORD = "Tr0ub4dor&3";
const SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule";

/** Opens a stage whose broker has an authorizer, and a listener SASL_PLAINTEXT for USER, who may do nothing at first. */
export function openWithRights(): Promise<Stage> {
  return Stage.open(
    {
      "sasl.enabled.mechanisms": "SCRAM-SHA-256",
      "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config": `${SCRAM} required;`,
      "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
      "super.users": "User:ANONYMOUS",
    },
    ["SASL_PLAINTEXT"],
    { users: [{ name: USER, password: PASSWORD, mechanism: "SCRAM-SHA-256" }] },
  );
}

/** Allows a user some operations, or denies them, which weighs more. */
export function setRights(
  bootstrap: string,
  user: string,
  what: "allow" | "deny",
  operations: readonly Right["operation"][],
  resource: Resource,
): Promise<void> {
  const acl = operations.map((operation) => entryOf(user, what, { operation, resource }));
  return withAdmin(bootstrap, (admin) => admin.createAcls({ acl }));
}

/** The same of one operation. */
export function setRight(
  bootstrap: string,
  user: string,
  what: "allow" | "deny",
  right: Right,
): Promise<void> {
  return setRights(bootstrap, user, what, [right.operation], right.resource);
}

/** Removes what was allowed or denied. */
export function takeBack(
  bootstrap: string,
  user: string,
  what: "allow" | "deny",
  right: Right,
): Promise<void> {
  return withAdmin(
    bootstrap,
    (admin) => admin.deleteAcls({ filters: [entryOf(user, what, right)] }),
  );
}

function entryOf(user: string, what: "allow" | "deny", { operation, resource }: Right) {
  const [kind, name] = Object.entries(resource)[0]!;
  const isPrefix = kind === "transactionalIds";
  return {
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
  };
}

async function withAdmin(
  bootstrap: string,
  work: (admin: Admin) => Promise<unknown>,
): Promise<void> {
  const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.disconnect();
  }
}
