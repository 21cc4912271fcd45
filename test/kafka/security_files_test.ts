// Files for TLS and SASL are looked at before a broker is. Needs openssl, and no broker.

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ParameterError, Parameters } from "../../src/parameters/mod.ts";
import { redact } from "../../src/engine/logging.ts";
import { connectionOf, secretsOfFiles } from "../../src/kafka/security.ts";
import { Certificates } from "./certificates.ts";

const SECRET = "Tr0ub4dor&3";

const certificates = await Certificates.open();
const file = (name: string) => certificates.file(name);
await certificates.makeAuthority("own");
await certificates.makeAuthority("other");
// deno-fmt-ignore
await certificates.openssl("pkcs8", "-topk8", "-in", "own.key", "-out", "encrypted.key", "-passout", `pass:${SECRET}`);
// deno-fmt-ignore
await certificates.openssl("rsa", "-aes256", "-traditional", "-in", "own.key", "-out", "old.key",
  "-passout", `pass:${SECRET}`);
// deno-fmt-ignore
await certificates.openssl("pkcs12", "-export", "-in", "own.pem", "-inkey", "own.key", "-out", "own.p12",
  "-passout", `pass:${SECRET}`);
await certificates.openssl("x509", "-in", "own.pem", "-outform", "DER", "-out", "own.der");
await Deno.writeTextFile(file("password"), `${SECRET}\n`);
await Deno.writeFile(file("own.jks"), new Uint8Array([0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]));

const tls = {
  "kafka.bootstrap.servers": "127.0.0.1:9092",
  "kafka.ssl.enabled": "true",
  "kafka.ssl.ca": file("own.pem"),
  "kafka.ssl.cert": file("own.pem"),
  "kafka.ssl.key": file("own.key"),
};

type Flags = Record<string, string>;

const connection = (flags: Flags) => connectionOf(Parameters.of({ ...tls, ...flags }));

function refusal(flags: Flags): string {
  return assertThrows(() => connection(flags), ParameterError).message;
}

Deno.test("a certificate and its key, also encrypted, are taken", () => {
  const own = connection({}).ssl?.key;
  assert(own?.includes("PRIVATE KEY"));
  for (const key of ["encrypted.key", "old.key"]) {
    const opened = connection({ "kafka.ssl.key": file(key), "kafka.ssl.key.password": SECRET });
    assertEquals(opened.ssl?.key, own);
  }
});

Deno.test("an encrypted key without its password, or with another: refused, and the password is not shown", () => {
  for (const key of ["encrypted.key", "old.key"]) {
    const encrypted = { "kafka.ssl.key": file(key) };
    assertStringIncludes(refusal(encrypted), "is encrypted: set kafka.ssl.key.password");
    const wrong = refusal({ ...encrypted, "kafka.ssl.key.password": "wr0ngwr0ng" });
    assertStringIncludes(wrong, "kafka.ssl.key.password does not open it");
    assert(!wrong.includes("wr0ngwr0ng"), wrong);
  }
});

Deno.test("a key of another certificate, and one half of the pair: refused", () => {
  const other = refusal({ "kafka.ssl.key": file("other.key") });
  assertStringIncludes(other, "is not the key of the first certificate in kafka.ssl.cert");
  assertStringIncludes(refusal({ "kafka.ssl.key": "" }), "needs kafka.ssl.key too");
  assertStringIncludes(refusal({ "kafka.ssl.cert": "" }), "needs kafka.ssl.cert too");
});

Deno.test("files that are not PEM, or hold something else: refused by what they are", () => {
  const cases: [string, string, string][] = [
    ["kafka.ssl.ca", "own.p12", "PKCS12"],
    ["kafka.ssl.ca", "own.der", "DER"],
    ["kafka.ssl.ca", "own.jks", "JKS"],
    ["kafka.ssl.ca", "own.key", "holds no certificate"],
    ["kafka.ssl.ca", "password", "holds no certificate"],
    ["kafka.ssl.cert", "own.p12", "PKCS12"],
    ["kafka.ssl.key", "own.pem", "holds no private key"],
    ["kafka.ssl.key", "own.p12", "PKCS12"],
    ["kafka.ssl.ca", "no-such-file", "Cannot read kafka.ssl.ca="],
  ];
  for (const [key, name, reason] of cases) {
    const message = refusal({ [key]: file(name) });
    assertStringIncludes(message, reason);
    assertStringIncludes(message, `${key}=${file(name)}`);
    assert(!message.includes(SECRET), message);
  }
});

Deno.test("files for TLS without TLS: refused", () => {
  for (const key of ["kafka.ssl.ca", "kafka.ssl.cert", "kafka.ssl.key"]) {
    const off = { ...tls, "kafka.ssl.ca": "", "kafka.ssl.cert": "", "kafka.ssl.key": "" };
    const message = refusal({ ...off, "kafka.ssl.enabled": "false", [key]: file("own.pem") });
    assertStringIncludes(message, "needs kafka.ssl.enabled=true");
  }
});

Deno.test("a password goes without TLS only where that is allowed, or by SCRAM", () => {
  const open = {
    "kafka.bootstrap.servers": "127.0.0.1:9092",
    "kafka.sasl.mechanism": "plain",
    "kafka.sasl.username": "alice",
    "kafka.sasl.password": SECRET,
  } as const;
  const of = (flags: Flags) => connectionOf(Parameters.of({ ...open, ...flags }));
  const { message } = assertThrows(() => of({}), ParameterError);
  assertStringIncludes(message, "kafka.sasl.plaintext.allowed=true");
  assert(!message.includes(SECRET), message);
  assertEquals(of({ "kafka.sasl.plaintext.allowed": "true" }).sasl?.mechanism, "plain");
  assertEquals(of({ "kafka.ssl.enabled": "true" }).sasl?.password, SECRET);
  assertEquals(of({ "kafka.sasl.mechanism": "scram-sha-256" }).sasl?.username, "alice");
  const none = assertThrows(() => of({ "kafka.sasl.mechanism": "none" }), ParameterError);
  assertStringIncludes(none.message, "needs kafka.sasl.mechanism");
});

Deno.test("secrets in files are taken out of what is written, also line by line", async () => {
  const params = Parameters.of({
    ...tls,
    "kafka.sasl.password.file": file("password"),
    "kafka.ssl.key.password": "0pen-sesame",
  });
  const secrets = [...params.secrets, ...secretsOfFiles(params)];
  const key = await Deno.readTextFile(file("own.key"));
  const [, line] = key.split("\n");
  const text = redact(`the broker says ${SECRET}, 0pen-sesame and ${line}`, secrets);
  assertEquals(text, "the broker says ***, *** and ***");
});
