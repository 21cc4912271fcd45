import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  FOREIGN_KEYS,
  type GivenParameters,
  ParameterError,
  type ParameterKey,
  Parameters,
} from "../../src/parameters/mod.ts";
import { environmentName } from "../../src/parameters/mod.ts";

const SECRET = "alice-s3cret";
const PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule";

function read(text: string): Parameters {
  return Parameters.from({ file: { name: "job.properties", text } });
}

function refusal(text: string): string {
  return assertThrows(() => read(text), ParameterError).message;
}

function assertValues(params: Parameters, values: Partial<Record<ParameterKey, unknown>>): void {
  for (const [key, value] of Object.entries(values)) {
    assertEquals(params.get(key as ParameterKey), value as never, key);
  }
}

Deno.test("the tutorial's job.properties for Flink is taken as it is", () => {
  const params = read(`
kafka.bootstrap.servers=broker-1:9092,broker-2:9092, broker-3:9092
kafka.group.id=flink
kafka.flink.partition-discovery.interval-millis=30000
kafka.commit.offsets.on.checkpoint=true
kafka.auto.offset.reset=earliest
transaction.input.topic=transaction.log.1
query.input.topic=query.input.log.1
query.output.topic=query.output.log.1
enable.summaries=true
num.items=1000000
`);
  assertValues(params, {
    "kafka.bootstrap.servers": "broker-1:9092,broker-2:9092, broker-3:9092",
    "kafka.group.id": "flink",
    "kafka.partition.discovery.interval.ms": 30_000,
  });
  const never = read("kafka.flink.partition-discovery.interval-millis=-1");
  assertValues(never, { "kafka.partition.discovery.interval.ms": 0 });
});

Deno.test("the Java client's keys for TLS and SASL are taken, also its mechanisms in upper case", () => {
  const params = read(`
kafka.security.protocol=SASL_SSL
kafka.sasl.mechanism=SCRAM-SHA-512
kafka.sasl.jaas.config=${SCRAM} required username="alice" password="${SECRET}";
kafka.ssl.truststore.type=PEM
kafka.ssl.truststore.location=/etc/ca.pem
kafka.ssl.keystore.type=pem
kafka.ssl.keystore.location=/etc/client.pem
kafka.isolation.level=read_committed
kafka.enable.auto.commit=false
`);
  assertValues(params, {
    "kafka.ssl.enabled": true,
    "kafka.sasl.mechanism": "scram-sha-512",
    "kafka.sasl.username": "alice",
    "kafka.sasl.password": SECRET,
    "kafka.ssl.ca": "/etc/ca.pem",
    "kafka.ssl.cert": "/etc/client.pem",
    "kafka.ssl.key": "/etc/client.pem",
  });
  assertEquals(params.secrets, [SECRET]);
  const quoted = `${PLAIN} required serviceName='x' username='a b' password="s\\\\"q;x" ;`;
  assertValues(read(`kafka.sasl.jaas.config=${quoted}`), {
    "kafka.sasl.mechanism": "plain",
    "kafka.sasl.username": "a b",
    "kafka.sasl.password": 's"q;x',
  });
});

Deno.test("foreign keys come by flag and environment too, the flag before the environment before the file", () => {
  const file = { name: "f", text: "kafka.ssl.truststore.location=/file" };
  const environment = (name: string) => ({ KAFKA_SSL_TRUSTSTORE_LOCATION: "/env" })[name];
  const flags = { "kafka.ssl.truststore.location": "/flag" };
  const of = (texts: GivenParameters) => Parameters.from(texts).get("kafka.ssl.ca");
  assertEquals(of({ file, environment, flags }), "/flag");
  assertEquals(of({ file, environment }), "/env");
  assertEquals(of({ file }), "/file");
  assertEquals(of({ file, flags: { "kafka.ssl.ca": "/own" } }), "/own");
  const names = Object.keys(FOREIGN_KEYS).map(environmentName);
  assert(names.every((name) => /^[A-Z0-9_]+$/.test(name)), names.join());
});

Deno.test("a foreign key that says something else than is done, or than its parameter, is refused with why", () => {
  const cases: [text: string, says: string][] = [
    ["kafka.commit.offsets.on.checkpoint=false", "must be true"],
    ["kafka.auto.offset.reset=latest", "--accept-offset"],
    ["kafka.isolation.level=read_uncommitted", "must be read_committed"],
    ["kafka.security.protocol=TLS", "one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"],
    ["kafka.security.protocol=SASL_SSL", "needs kafka.sasl.mechanism"],
    ["kafka.security.protocol=SSL\nkafka.sasl.mechanism=PLAIN", "it is without SASL"],
    ["kafka.sasl.mechanism=GSSAPI", "one of none, plain, scram-sha-256, scram-sha-512"],
    ["kafka.ssl.truststore.type=JKS", "must be PEM"],
    ["kafka.ssl.truststore.location=/a\nkafka.ssl.ca=/b", "do not say the same"],
    ["kafka.ssl.keystore.password=x", "kafka.ssl.key.password opens the key"],
    ["kafka.transactional.id=x", "transactional ids begin with kafka.group.id"],
    ["bootstrap.servers=a:1", "did you mean kafka.bootstrap.servers?"],
  ];
  for (const [text, says] of cases) assertStringIncludes(refusal(text), says);
});

Deno.test("what is wrong with kafka.sasl.jaas.config is reported without its password", () => {
  for (
    const text of [
      `kafka.sasl.jaas.config=${PLAIN} required user=alice password="${SECRET}";`,
      `kafka.sasl.jaas.config=com.example.Login required username="a" password="${SECRET}";`,
      `kafka.sasl.jaas.config=password=${SECRET}`,
      `kafka.sasl.jaas.config${SECRET}`,
    ]
  ) {
    const message = refusal(text);
    assert(!message.includes(SECRET), message);
    assertStringIncludes(message, "not shown");
  }
});
