// Keys as people have them: those of the tutorial's job.properties for Flink, and those of Kafka's Java client
// behind "kafka.". They are taken for the parameters that mean the same, or what replaces them is named.

import type { ParameterKey } from "./parameter_table.ts";

/** A value that a key may not have; says what is allowed, and not the value. */
export class ForeignValueError extends Error {
  override readonly name = "ForeignValueError";
}

type Own = Partial<Record<ParameterKey, string>>;

/** What a foreign key is taken for. */
interface ForeignKey {
  /** @throws {ForeignValueError} */
  readonly own: (text: string) => Own;
  /** Its value is never shown. */
  readonly secret?: boolean;
}

function renamed(key: ParameterKey): ForeignKey {
  return { own: (text) => ({ [key]: text }) };
}

/** A setting that is always so here: another value is refused. */
function always(values: readonly string[], why: string): ForeignKey {
  return {
    own: (text) => {
      if (values.includes(text.trim().toLowerCase())) return {};
      throw new ForeignValueError(`${values.join(" or ")} (${why})`);
    },
  };
}

const PROTOCOLS: Readonly<Record<string, boolean>> = {
  PLAINTEXT: false,
  SSL: true,
  SASL_PLAINTEXT: false,
  SASL_SSL: true,
};

function protocol(text: string): Own {
  const tls = PROTOCOLS[text.trim().toUpperCase()];
  if (tls === undefined) throw new ForeignValueError(`one of ${Object.keys(PROTOCOLS).join(", ")}`);
  return { "kafka.ssl.enabled": String(tls) };
}

const JAAS = /^\s*([\w.$]+)\s+(?:required|requisite|sufficient|optional)\s([^]*?);?\s*$/;
const JAAS_OPTION = /(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s;"']+))/g;

/** The login modules of Kafka for user and password. */
function jaas(text: string): Own {
  const [, module = "", rest = ""] = JAAS.exec(text) ?? [];
  const isPlain = module.endsWith(".PlainLoginModule");
  const options = new Map(
    [...rest.matchAll(JAAS_OPTION)].map(([, name, ...values]) => [
      name!,
      (values.find((value) => value !== undefined) ?? "").replaceAll(/\\(.)/g, "$1"),
    ]),
  );
  const username = options.get("username");
  const password = options.get("password");
  if ((!isPlain && !module.endsWith(".ScramLoginModule")) || username === undefined || !password) {
    throw new ForeignValueError(
      'a PlainLoginModule or ScramLoginModule with username="..." and password="..."; other ways to log in ' +
        "are not there",
    );
  }
  return {
    ...(isPlain ? { "kafka.sasl.mechanism": "plain" } : {}),
    "kafka.sasl.username": username,
    "kafka.sasl.password": password,
  };
}

function pem(text: string): Own {
  if (text.trim().toUpperCase() === "PEM") return {};
  throw new ForeignValueError(
    "PEM: keytool -importkeystore -deststoretype PKCS12, then openssl pkcs12 -nodes, makes a PEM file of a JKS one",
  );
}

/** Foreign keys that are taken. */
export const FOREIGN_KEYS: Readonly<Record<string, ForeignKey>> = {
  "kafka.flink.partition-discovery.interval-millis": {
    // Flink takes what is negative for "never".
    own: (text) => ({
      "kafka.partition.discovery.interval.ms": /^-[0-9]+$/.test(text) ? "0" : text,
    }),
  },
  "kafka.commit.offsets.on.checkpoint": always(
    ["true"],
    "offsets are committed with every result, which any tool sees",
  ),
  "kafka.security.protocol": { own: protocol },
  "kafka.ssl.truststore.location": renamed("kafka.ssl.ca"),
  "kafka.ssl.truststore.type": { own: pem },
  "kafka.ssl.keystore.location": {
    own: (text) => ({ "kafka.ssl.cert": text, "kafka.ssl.key": text }),
  },
  "kafka.ssl.keystore.type": { own: pem },
  "kafka.sasl.jaas.config": { own: jaas, secret: true },
  "kafka.auto.offset.reset": always(
    ["earliest"],
    "a new group reads transactions from their first record and queries from its start on; where offsets are " +
      "lost later, --accept-offset says how to go on",
  ),
  "kafka.enable.auto.commit": always(["false"], "offsets are committed with the results"),
  "kafka.isolation.level": always(["read_committed"], "nothing else is exactly once"),
  "kafka.acks": always(["all", "-1"], "nothing else is durable"),
  "kafka.enable.idempotence": always(["true"], "nothing else is exactly once"),
};

/** Foreign keys that are not taken, and what replaces them. */
const REPLACED: Readonly<Record<string, string>> = {
  "kafka.transactional.id": "transactional ids begin with kafka.group.id",
  "kafka.ssl.truststore.password": "kafka.ssl.ca is a PEM file, which has no password",
  "kafka.ssl.keystore.password":
    "kafka.ssl.cert and kafka.ssl.key are PEM files; kafka.ssl.key.password opens the key",
  "kafka.ssl.truststore.certificates": "kafka.ssl.ca names a PEM file",
  "kafka.ssl.keystore.certificate.chain": "kafka.ssl.cert names a PEM file",
  "kafka.ssl.keystore.key": "kafka.ssl.key names a PEM file",
  "kafka.client.id": "it is always stockflow",
  "kafka.group.instance.id": "the member id is kept beside state.kv",
  "kafka.max.poll.records": "what is read at a time follows from what waits to be committed",
  "kafka.partition.assignment.strategy": "one process is active, the others stand by",
  "kafka.max.request.size": "batches follow max.message.bytes of the output topics",
  "kafka.delivery.timeout.ms": "kafka.transaction.timeout.ms bounds a transaction",
};

/** What replaces a key; null for one that nobody knows. */
export function replacementOf(key: string): string | null {
  return Object.hasOwn(REPLACED, key) ? REPLACED[key]! : null;
}

/** Whether a key's value is a secret. */
export function isForeignSecret(key: string): boolean {
  return Object.hasOwn(FOREIGN_KEYS, key) && FOREIGN_KEYS[key]!.secret === true;
}

/** Whether a protocol of Kafka's listeners is one with SASL. */
export function usesSasl(protocol: string): boolean {
  return protocol.trim().toUpperCase().startsWith("SASL_");
}
