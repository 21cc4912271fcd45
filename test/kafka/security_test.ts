// TLS and SASL against a real broker, whose certificates openssl makes. Starts a broker of its own
// (tools/kit/test_broker.ts).

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Certificates } from "./certificates.ts";
import { Loader } from "../../tools/kit/load.ts";
import { setRights } from "./rights.ts";
import { type Scene, Stage } from "./scene.ts";
import { untilStock } from "./until.ts";

const PASSWORD = "Tr0ub4dor&3";
const WRONG = "not-the-Pa55word";
const PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule";

const certificates = await Certificates.open();
const file = (name: string) => certificates.file(name);
await certificates.makeAuthority("authority");
await certificates.makeAuthority("stranger");
await certificates.makeCertificate("broker", "authority");
await certificates.makeCertificate("client", "authority");
await Deno.writeTextFile(file("password"), `${PASSWORD}\n`);

const stage = await Stage.open(
  {
    "ssl.keystore.type": "PEM",
    "ssl.keystore.location": await certificates.makeStore("broker"),
    "ssl.truststore.type": "PEM",
    "ssl.truststore.location": file("authority.pem"),
    "listener.name.ssl.ssl.client.auth": "required",
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
    "listener.name.sasl_ssl.plain.sasl.jaas.config": `${PLAIN} required user_alice="${PASSWORD}";`,
    "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": `${SCRAM} required;`,
    "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": `${SCRAM} required;`,
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS;User:alice;User:CN=client",
  },
  ["SSL", "SASL_SSL"],
  {
    users: [
      { name: "alice", password: PASSWORD, mechanism: "SCRAM-SHA-256" },
      { name: "alice", password: PASSWORD, mechanism: "SCRAM-SHA-512" },
      { name: "bob", password: PASSWORD, mechanism: "SCRAM-SHA-256" },
    ],
  },
);

/** Parameters for TLS, with the certificate of a client or without. */
const tls = (protocol: string, more: Record<string, string> = {}) => ({
  "kafka.bootstrap.servers": stage.broker.addressOf(protocol),
  "kafka.ssl.enabled": "true",
  "kafka.ssl.ca": file("authority.pem"),
  ...more,
});

const sasl = (mechanism: string, more: Record<string, string> = {}) => ({
  ...tls("SASL_SSL"),
  "kafka.sasl.mechanism": mechanism,
  "kafka.sasl.username": "alice",
  "kafka.sasl.password.file": file("password"),
  ...more,
});

/** The job folds, commits and answers. */
async function works({ topics }: Scene, service: Service): Promise<void> {
  const topic = topics["transaction.input.topic"];
  const loader = await Loader.open(stage.broker.bootstrap, topic);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  await loader.close();
  await waitReady(service);
  await untilStock(service, "item_2", 70);
  await stopInGoodOrder(service);
  for (const secret of [PASSWORD, WRONG, "PRIVATE KEY"]) {
    assert(!service.log().includes(secret), service.log());
  }
}

stage.test("TLS with a certificate of the client", async () => {
  const scene = await stage.scene(1);
  const own = { "kafka.ssl.cert": file("client.pem"), "kafka.ssl.key": file("client.key") };
  await works(scene, await scene.start(tls("SSL", own)));
});

stage.test("a broker whose certificate is not trusted: exit 2", async () => {
  const { refused } = await stage.scene(1);
  const text = await refused(sasl("plain", { "kafka.ssl.ca": file("stranger.pem") }));
  assertStringIncludes(text, "kafka.ssl.ca");
});

stage.test("a broker that wants a certificate of the client: exit 2", async () => {
  const { refused } = await stage.scene(1);
  assertStringIncludes(await refused(tls("SSL")), "kafka.ssl.cert");
});

for (const mechanism of ["plain", "scram-sha-256", "scram-sha-512"]) {
  stage.test(`SASL ${mechanism} by TLS: a wrong password is exit 2, and is shown nowhere`, async () => {
    const scene = await stage.scene(1);
    const text = await scene.refused({
      ...sasl(mechanism),
      "kafka.sasl.password.file": "",
      "kafka.sasl.password": WRONG,
    });
    assertStringIncludes(text, "Kafka refuses the user");
    assertStringIncludes(text, "kafka.sasl.username");
    assert(!text.includes(WRONG), text);
    await works(scene, await scene.start(sasl(mechanism)));
  });
}

stage.test("a user without rights: exit 2, with the right that is missing", async () => {
  const { bootstrap } = stage.broker;
  const scene = await stage.scene(1);
  const asBob = sasl("scram-sha-256", { "kafka.sasl.username": "bob" });
  // Topics without the right to describe them are not to be seen.
  assertStringIncludes(await scene.refused(asBob), "the right to");
  const allow = setRights.bind(null, bootstrap, "bob", "allow", ["All"]);
  await allow({ topic: "*" });
  const group = await scene.refused(asBob);
  assertStringIncludes(group, "read with its consumer group");
  await allow({ group: scene.group });
  const transactions = await scene.refused(asBob);
  assertStringIncludes(transactions, "transactional ids that begin with its group id");
  await allow({ transactionalIds: scene.group });
  await works(scene, await scene.start(asBob));
});

stage.test("a password in the wrong place is not shown either", async () => {
  const { refused } = await stage.scene(1);
  const text = await refused(sasl("plain", {
    "kafka.sasl.password.file": file("no-such-file"),
  }));
  assertStringIncludes(text, "Cannot read kafka.sasl.password.file");
  assertEquals(text.includes(PASSWORD), false);
});
