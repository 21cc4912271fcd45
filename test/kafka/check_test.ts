// --check against a real broker: it looks at topics and rights, and leaves no trace. Starts a broker of its own
// (test/kafka/broker.ts).

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { serviceArguments } from "../system/service.ts";
import { runTool } from "./java_tools.ts";
import { Stage } from "./scene.ts";

const PASSWORD = "Tr0ub4dor&3";
const SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule";

const stage = await Stage.open({
  "sasl.enabled.mechanisms": "SCRAM-SHA-256",
  "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config": `${SCRAM} required;`,
  "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
  "super.users": "User:ANONYMOUS",
}, ["SASL_PLAINTEXT"]);

async function check(folder: string, flags: Readonly<Record<string, string>>) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...serviceArguments(folder, { job: "kafka", ...flags }), "--check"],
    cwd: new URL("../../", import.meta.url),
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

const allow = (...what: string[]) =>
  // deno-fmt-ignore
  runTool("org.apache.kafka.tools.AclCommand", ["--bootstrap-server", stage.broker.bootstrap, "--add",
    "--allow-principal", "User:carol", ...what]);

stage.test("--check looks at topics and rights, and joins, creates and commits nothing", async () => {
  const { bootstrap } = stage.broker;
  const { group, topics } = await stage.scene(2);
  const flags: Record<string, string> = {
    "kafka.bootstrap.servers": bootstrap,
    "kafka.group.id": group,
    ...topics,
  };
  const folder = await Deno.makeTempDir({ prefix: "stockflow-test-" });
  try {
    const right = await check(folder, flags);
    assertEquals(right.code, 0, right.err);
    assertStringIncludes(right.out, `Kafka at ${bootstrap} answers`);
    const missing = await check(folder, { ...flags, "summary.output.topic": "not-there" });
    assertEquals(missing.code, 2);
    assertStringIncludes(missing.err, "Topics are missing: not-there (summary.output.topic)");
    const created = await check(folder, {
      ...flags,
      "summary.output.topic": "not-there",
      "kafka.create.topics": "true",
    });
    assertEquals(created.code, 0, created.err);
    assertStringIncludes(created.out, "a start would create not-there");

    // deno-fmt-ignore
    await runTool("kafka.admin.ConfigCommand", ["--bootstrap-server", bootstrap, "--alter", "--add-config",
      `SCRAM-SHA-256=[password=${PASSWORD}]`, "--entity-type", "users", "--entity-name", "carol"]);
    const asCarol = {
      ...flags,
      "kafka.bootstrap.servers": stage.broker.addressOf("SASL_PLAINTEXT"),
      "kafka.sasl.mechanism": "scram-sha-256",
      "kafka.sasl.username": "carol",
      "kafka.sasl.password": PASSWORD,
    };
    await allow("--operation", "Describe", "--topic", "*");
    await allow("--operation", "Describe", "--group", group);
    await allow(
      "--operation",
      "Describe",
      "--transactional-id",
      group,
      "--resource-pattern-type",
      "prefixed",
    );
    const few = await check(folder, asCarol);
    assertEquals(few.code, 2, few.out);
    for (const key of ["transaction.input.topic", "query.input.topic"] as const) {
      assertStringIncludes(few.err, `Read on topic ${topics[key]} (${key})`);
    }
    assertStringIncludes(few.err, "(query.output.topic)");
    assertStringIncludes(few.err, `Read on group ${group} (kafka.group.id)`);
    await allow("--operation", "All", "--topic", "*");
    await allow("--operation", "Read", "--group", group);
    const enough = await check(folder, asCarol);
    assertEquals(enough.code, 0, enough.err);

    assertEquals([...Deno.readDirSync(folder)], []);
    await stage.withAdmin(async (admin) => {
      assert(!(await admin.listTopics()).includes("not-there"));
      const { groups } = await admin.listGroups();
      assertEquals(groups.filter(({ groupId }) => groupId === group), []);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
