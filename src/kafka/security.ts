// How the brokers that parameters name are reached: addresses, TLS and SASL. Every file is looked at before
// a broker is: what it is, whether key and certificate are a pair.

import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import {
  ParameterError,
  type Parameters,
  readSmallBytes,
  readSmallFile,
} from "../parameters/mod.ts";
import { decodeUtf8 } from "../types/mod.ts";
import type { ConnectionOptions } from "./client/kafka_client.ts";

type FileKey =
  | "kafka.ssl.ca"
  | "kafka.ssl.cert"
  | "kafka.ssl.key"
  | "kafka.sasl.password.file";

/**
 * How the brokers that parameters name are reached.
 *
 * @throws {ParameterError} when something is missing, cannot be read, or does not go with the rest
 */
export function connectionOf(params: Parameters): ConnectionOptions {
  const brokers = params.get("kafka.bootstrap.servers");
  if (brokers === "") {
    throw new ParameterError("kafka.bootstrap.servers is missing: host:port of a broker");
  }
  return {
    brokers: brokers.split(",").map((address) => address.trim()),
    clientId: "stockflow",
    ...sslOf(params),
    ...saslOf(params),
  };
}

/**
 * What stands in files and may be shown nowhere: the password of SASL, and the client's key.
 * A file that cannot be read has no secrets; connectionOf reports it.
 */
export function secretsOfFiles(params: Parameters): string[] {
  const read = (key: FileKey): string[] => {
    try {
      return params.get(key) === "" ? [] : [readSmallFile(...namedFile(params, key))];
    } catch {
      return [];
    }
  };
  const passwords = read("kafka.sasl.password.file").map(withoutNewline);
  // Of a key any line may come up alone.
  const lines = read("kafka.ssl.key").flatMap((text) => text.split(/\r?\n/))
    .filter((line) => /^[A-Za-z0-9+/=]{40,}$/.test(line));
  return [...passwords, ...lines].filter((secret) => secret !== "");
}

function withoutNewline(text: string): string {
  return text.replace(/\r?\n$/, "");
}

function sslOf(params: Parameters): Pick<ConnectionOptions, "ssl"> {
  const files = ["kafka.ssl.ca", "kafka.ssl.cert", "kafka.ssl.key"] as const;
  const given = files.filter((key) => params.get(key) !== "");
  if (!params.get("kafka.ssl.enabled")) {
    if (given.length === 0) return {};
    throw new ParameterError(
      `${given[0]}=${
        params.get(given[0]!)
      } needs kafka.ssl.enabled=true: without it nothing goes by TLS`,
    );
  }
  const ca = given.includes("kafka.ssl.ca")
    ? { ca: certificatesIn(params, "kafka.ssl.ca").pem }
    : {};
  return { ssl: { ...ca, ...certificateOf(params) } };
}

/** The client's certificate and its key, which must be a pair. */
function certificateOf(params: Parameters): { cert?: string; key?: string } {
  const cert = params.get("kafka.ssl.cert");
  const key = params.get("kafka.ssl.key");
  if (cert === "" && key === "") return {};
  if (cert === "" || key === "") {
    const [has, lacks] = cert === "" ? ["key", "cert"] : ["cert", "key"];
    throw new ParameterError(
      `kafka.ssl.${has}=${
        cert || key
      } needs kafka.ssl.${lacks} too: a certificate is shown with its key`,
    );
  }
  const { pem, first } = certificatesIn(params, "kafka.ssl.cert");
  const own = keyIn(params);
  const bytesOf = (publicKey: KeyObject) =>
    new Uint8Array(publicKey.export({ type: "spki", format: "der" })).toHex();
  if (bytesOf(createPublicKey(own)) !== bytesOf(first.publicKey)) {
    throw new ParameterError(
      `kafka.ssl.key=${key} is not the key of the first certificate in kafka.ssl.cert=${cert}`,
    );
  }
  return { cert: pem, key: own.export({ type: "pkcs8", format: "pem" }) as string };
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** The certificates in a PEM file, at least one. */
function certificatesIn(
  params: Parameters,
  key: "kafka.ssl.ca" | "kafka.ssl.cert",
): { readonly pem: string; readonly first: X509Certificate } {
  const text = readPem(params, key);
  const [...found] = text.match(CERTIFICATE) ?? [];
  if (found.length === 0) throw notPem(params, key, "it holds no certificate");
  const read = found.map((pem, i) => {
    try {
      return new X509Certificate(pem);
    } catch (error) {
      throw notPem(params, key, `its certificate ${i + 1} is damaged: ${(error as Error).message}`);
    }
  });
  return { pem: found.join("\n") + "\n", first: read[0]! };
}

function keyIn(params: Parameters): KeyObject {
  const text = readPem(params, "kafka.ssl.key");
  const password = params.get("kafka.ssl.key.password");
  const [pem] =
    /-----BEGIN ([A-Z ]*)PRIVATE KEY-----[\s\S]*?-----END \1PRIVATE KEY-----/.exec(text) ?? [];
  if (pem === undefined) throw notPem(params, "kafka.ssl.key", "it holds no private key");
  const isEncrypted = /ENCRYPTED/.test(pem);
  if (isEncrypted && password === "") {
    throw new ParameterError(
      `The key in kafka.ssl.key=${
        params.get("kafka.ssl.key")
      } is encrypted: set kafka.ssl.key.password (best ` +
        "by the environment variable KAFKA_SSL_KEY_PASSWORD)",
    );
  }
  try {
    return createPrivateKey({ key: pem, ...(isEncrypted ? { passphrase: password } : {}) });
  } catch (error) {
    const why = isEncrypted
      ? "kafka.ssl.key.password does not open it, or its encryption is not known"
      : "it is damaged";
    throw new ParameterError(
      `Cannot read the key in kafka.ssl.key=${params.get("kafka.ssl.key")}: ${why} ` +
        `(${(error as Error).message})`,
    );
  }
}

/** The text of a file that should be PEM; other stores of keys are recognised by their first bytes. */
function readPem(params: Parameters, key: Exclude<FileKey, "kafka.sasl.password.file">): string {
  const bytes = readSmallBytes(...namedFile(params, key));
  const [first = 0, second = 0] = bytes;
  if (first === 0xfe && second === 0xed) {
    throw notPem(
      params,
      key,
      "it is a Java key store (JKS)",
      "keytool -importkeystore -deststoretype PKCS12",
    );
  }
  if (first === 0x30 && second >= 0x80) {
    throw notPem(
      params,
      key,
      "it is PKCS12 or DER",
      "openssl pkcs12 -in FILE -nodes -out FILE.pem",
    );
  }
  const text = decodeUtf8(bytes);
  if (text === null) throw notPem(params, key, "it is not a text");
  return text;
}

function notPem(params: Parameters, key: FileKey, why: string, how = ""): ParameterError {
  const convert = how === "" ? "" : ` (${how} makes one)`;
  return new ParameterError(`${key}=${params.get(key)} must be a PEM file: ${why}${convert}`);
}

function saslOf(params: Parameters): Pick<ConnectionOptions, "sasl"> {
  const mechanism = params.get("kafka.sasl.mechanism");
  const username = params.get("kafka.sasl.username");
  if (mechanism === "none") {
    if (username === "") return {};
    throw new ParameterError(
      `kafka.sasl.username=${username} needs kafka.sasl.mechanism: without it the job does not show who it is`,
    );
  }
  const password = params.get("kafka.sasl.password") ||
    (params.get("kafka.sasl.password.file") &&
      withoutNewline(readSmallFile(...namedFile(params, "kafka.sasl.password.file"))));
  if (username === "" || password === "") {
    throw new ParameterError(
      `kafka.sasl.mechanism=${mechanism} needs kafka.sasl.username and kafka.sasl.password, or its file`,
    );
  }
  const isOpen = mechanism === "plain" && !params.get("kafka.ssl.enabled");
  if (isOpen && !params.get("kafka.sasl.plaintext.allowed")) {
    throw new ParameterError(
      "kafka.sasl.mechanism=plain sends the password as it is, which anyone on the way can read: set " +
        "kafka.ssl.enabled=true, use scram-sha-256 or scram-sha-512, or allow it by " +
        "kafka.sasl.plaintext.allowed=true",
    );
  }
  return { sasl: { mechanism, username, password } };
}

/** The path of a file, and how errors name it. */
function namedFile(params: Parameters, key: FileKey): [path: string, what: string] {
  return [params.get(key), `${key}=${params.get(key)}`];
}
