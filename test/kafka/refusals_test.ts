// What a broker refuses, or a listener takes otherwise, ends the job with exit 2 and one line that says
// what to do. Starts a broker of its own (tools/kit/test_broker.ts).

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { serviceArguments, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { freePort } from "../../tools/kit/test_broker.ts";
import { Certificates } from "./certificates.ts";
import { Loader } from "../../tools/kit/load.ts";
import { setRights } from "./rights.ts";
import { Stage } from "./scene.ts";
import { exitCode, stockOf, until } from "./until.ts";

const PASSWORD = "Tr0ub4dor&3";
const SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule";
/** Shorter than what kafkajs takes for the end of a session. */
const SESSION_MS = 4000;

/** Where nobody listens. */
const DEAD = "127.0.0.1:1";

const certificates = await Certificates.open();
await certificates.makeAuthority("authority");
await certificates.makeCertificate("broker", "authority");

const stage = await Stage.open(
  {
    "ssl.keystore.type": "PEM",
    "ssl.keystore.location": await certificates.makeStore("broker"),
    "default.replication.factor": "2", // more than there are brokers
    "sasl.enabled.mechanisms": "SCRAM-SHA-256",
    "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config": `${SCRAM} required;`,
    "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": `${SCRAM} required;`,
    "listener.name.sasl_plaintext.scram-sha-256.connections.max.reauth.ms": String(SESSION_MS),
    "listener.name.sasl_ssl.scram-sha-256.connections.max.reauth.ms": "1500",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS;User:alice",
  },
  ["SSL", "SASL_PLAINTEXT", "SASL_SSL"],
  {
    advertised: { SSL: DEAD },
    users: ["alice", "carol"].map((name) => ({
      name,
      password: PASSWORD,
      mechanism: "SCRAM-SHA-256",
    })),
  },
);
const { broker } = stage;

const at = (protocol: string) => ({ "kafka.bootstrap.servers": broker.addressOf(protocol) });
const tls = {
  "kafka.ssl.enabled": "true",
  "kafka.ssl.ca": certificates.file("authority.pem"),
};
const scram = (username = "alice") => ({
  "kafka.sasl.mechanism": "scram-sha-256",
  "kafka.sasl.username": username,
  "kafka.sasl.password": PASSWORD,
});

/** The one line in which the job says why it ends. */
function lastLine(text: string): string {
  const lines = text.trimEnd().split("\n").filter((line) => line.startsWith("stockflow: "));
  assertEquals(lines.length, 1, text);
  assert(!/^ {4}at /m.test(text), text); // without a stack
  return lines[0]!;
}

stage.test("a listener without TLS, reached by TLS: exit 2, with its address", async () => {
  const { refused } = await stage.scene(1);
  const line = lastLine(await refused(tls));
  assertStringIncludes(line, "The broker does not speak TLS there");
  assertStringIncludes(line, broker.bootstrap);
  assertStringIncludes(line, "kafka.ssl.enabled=false");
});

stage.test("a listener with TLS, reached without: exit 2, with its address", async () => {
  const { refused } = await stage.scene(1);
  const line = lastLine(await refused(at("SSL")));
  assertStringIncludes(line, "The broker speaks TLS there");
  assertStringIncludes(line, broker.addressOf("SSL"));
  assertStringIncludes(line, "kafka.ssl.enabled=true");
});

stage.test("a listener with SASL, reached without: exit 2, with its address", async () => {
  const { refused } = await stage.scene(1);
  const line = lastLine(await refused(at("SASL_PLAINTEXT")));
  assertStringIncludes(line, "The broker wants SASL there");
  assertStringIncludes(line, broker.addressOf("SASL_PLAINTEXT"));
});

stage.test("a listener without SASL, reached with it: exit 2, with its address", async () => {
  const { refused } = await stage.scene(1);
  const line = lastLine(await refused(scram()));
  assertStringIncludes(line, "The broker wants no SASL there");
  assertStringIncludes(line, `(broker ${broker.bootstrap})`);
});

stage.test("a SASL mechanism that the broker has not enabled: exit 2", async () => {
  const { refused } = await stage.scene(1);
  const other = { ...at("SASL_PLAINTEXT"), ...scram(), "kafka.sasl.mechanism": "scram-sha-512" };
  const line = lastLine(await refused(other));
  assertStringIncludes(line, "has not enabled the mechanism of SASL");
  assertStringIncludes(line, `(broker ${broker.addressOf("SASL_PLAINTEXT")})`);
  assertStringIncludes(line, "kafka.sasl.mechanism");
});

stage.test("SASL sessions of four seconds are renewed, without a recovery", async () => {
  const scene = await stage.scene(2);
  const service = await scene.start({ ...at("SASL_PLAINTEXT"), ...scram() });
  await waitReady(service);
  const topic = scene.topics["transaction.input.topic"];
  const loader = await Loader.open(broker.bootstrap, topic);
  const count = 30;
  for (let id = 1; id <= count; id++) {
    await loader.append([loader.recordOf(`${id}\t1\titem_2\t1`, id)]);
    await new Promise((resolve) => setTimeout(resolve, SESSION_MS * 4 / count));
  }
  await stage.untilCommitted(scene, count, service);
  assertEquals(await stockOf(service, "item_2"), count);
  assertEquals(service.log().match(/recovering|does not answer|was lost/g), null, service.log());
  await stopInGoodOrder(service);
  await loader.close();
});

stage.test("SASL sessions too short to be renewed: exit 2", async () => {
  const { refused } = await stage.scene(1);
  const line = lastLine(await refused({ ...at("SASL_SSL"), ...tls, ...scram() }));
  assertStringIncludes(line, "ends SASL sessions after 1500 ms");
  assertStringIncludes(line, "connections.max.reauth.ms");
});

/** Gives carol all that a job needs but to see settings of topics. */
async function allowWork(group: string): Promise<void> {
  const allow = setRights.bind(null, broker.bootstrap, "carol", "allow");
  await allow(["Read", "Write", "Describe"], { topic: "*" });
  await allow(["Read"], { group });
  await allow(["Write", "Describe"], { transactionalIds: group });
}

stage.test("a user without the right to see settings of topics: a warning, and the job works", async () => {
  const scene = await stage.scene(1);
  await allowWork(scene.group);
  const loader = await Loader.open(broker.bootstrap, scene.topics["transaction.input.topic"]);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  await loader.close();
  const service = await scene.start({ ...at("SASL_PLAINTEXT"), ...scram("carol") });
  await waitReady(service);
  assertEquals(await stockOf(service, "item_2"), 70);
  assertStringIncludes(service.log(), "DescribeConfigs");
  await stopInGoodOrder(service);
});

stage.test("the right to write to an output, or to see it, that is withdrawn while the job runs: exit 2, naming it", async () => {
  for (
    const [right, says] of [["Write", "to write to"], ["Describe", "may not see topic"]] as const
  ) {
    const scene = await stage.scene(1);
    const topic = scene.topics["transaction.output.topic"];
    await allowWork(scene.group);
    const service = await scene.start({
      ...at("SASL_PLAINTEXT"),
      ...scram("carol"),
      "kafka.partition.discovery.interval.ms": "300",
    });
    await waitReady(service);
    await setRights(broker.bootstrap, "carol", "deny", [right], { topic });
    const loader = await Loader.open(broker.bootstrap, scene.topics["transaction.input.topic"]);
    await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
    await loader.close();
    assertEquals(await exitCode(service), 2, service.log());
    assertStringIncludes(lastLine(service.log()), topic);
    assertStringIncludes(lastLine(service.log()), says);
  }
});

stage.test("topics are created with the brokers' default number of replicas, or that of kafka.replication.factor", async () => {
  const scene = await stage.scene(1);
  const created = `created-${scene.topics["summary.output.topic"]}`;
  const flags = { "summary.output.topic": created, "kafka.create.topics": "true" };
  const line = lastLine(await scene.refused(flags));
  assertStringIncludes(line, `Topic ${created} cannot be created`);
  assertStringIncludes(line, "the brokers' default number of replicas");
  assertStringIncludes(line, "kafka.replication.factor");
  const service = await scene.start({ ...flags, "kafka.replication.factor": "1" });
  await waitReady(service);
  await stage.withAdmin(async (admin) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [created] });
    assertEquals(topics[0]!.partitions.map((p) => p.replicas.length), [1]);
  });
  await stopInGoodOrder(service);
});

stage.test("a topic whose name collides with another is not created: exit 2, naming both", async () => {
  const { refused } = await stage.scene(1);
  await broker.createTopics(["sum.maries"], 1);
  const create = { "kafka.create.topics": "true", "kafka.replication.factor": "1" };
  const existing = lastLine(await refused({ ...create, "summary.output.topic": "sum_maries" }));
  assertStringIncludes(existing, "sum_maries");
  assertStringIncludes(existing, "collides with that of sum.maries");
  const own = { "summary.output.topic": "own.name", "deadletter.topic": "own_name" };
  assertStringIncludes(lastLine(await refused({ ...create, ...own })), "own.name");
});

stage.test("a listener that is advertised where nobody listens is named, not the one that was given", async () => {
  const scene = await stage.scene(1);
  const port = String(freePort());
  const flags = { ...scene.flags, ...at("SSL"), ...tls, "job": "kafka", "http.port": port };
  const job = new Deno.Command(Deno.execPath(), {
    args: serviceArguments(scene.folder, flags),
    cwd: new URL("../../", import.meta.url),
    stdout: "null",
    stderr: "null",
  }).spawn();
  const logged = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    return await response?.text() ?? "";
  };
  let text = "";
  const isReported = async () => (text = await logged()).includes("does not answer");
  await until("the job reports that the broker does not answer", isReported);
  assertStringIncludes(text, `(broker ${DEAD})`);
  // One that waits for its brokers stops when it is asked to.
  job.kill("SIGTERM");
  assertEquals((await job.status).code, 0);
});

stage.test("a broker at an IPv6 address in brackets", async () => {
  const scene = await stage.scene(1);
  const relay = relayTo(broker.bootstrap);
  try {
    const service = await scene.start({ "kafka.bootstrap.servers": relay.address });
    await waitReady(service);
    await stopInGoodOrder(service);
  } finally {
    relay.close();
  }
});

/** Passes connections to [::1] on to an address. */
function relayTo(address: string): { readonly address: string; close(): void } {
  const listener = Deno.listen({ hostname: "::1", port: 0 });
  const [hostname, port] = address.split(":");
  void (async () => {
    for await (const near of listener) {
      const far = await Deno.connect({ hostname: hostname!, port: Number(port) });
      near.readable.pipeTo(far.writable).catch(() => {});
      far.readable.pipeTo(near.writable).catch(() => {});
    }
  })();
  const at = (listener.addr as Deno.NetAddr).port;
  return { address: `[::1]:${at}`, close: () => listener.close() };
}
