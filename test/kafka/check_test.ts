// --check against a real broker: it looks at topics and rights, and leaves no trace. Starts a broker of its own
// (tools/kit/test_broker.ts).

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { serviceArguments } from "../../tools/kit/service.ts";
import { openWithRights, PASSWORD, setRights, USER } from "./rights.ts";

const stage = await openWithRights();

async function check(folder: string, flags: Readonly<Record<string, string>>) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...serviceArguments(folder, { job: "kafka", ...flags }), "--check"],
    cwd: new URL("../../", import.meta.url),
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

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

    const asCarol = {
      ...flags,
      "kafka.bootstrap.servers": stage.broker.addressOf("SASL_PLAINTEXT"),
      "kafka.sasl.mechanism": "scram-sha-256",
      "kafka.sasl.username": USER,
      "kafka.sasl.password": PASSWORD,
    };
    const allow = setRights.bind(null, bootstrap, USER, "allow");
    await allow(["Describe"], { topic: "*" });
    await allow(["Describe"], { group });
    await allow(["Describe"], { transactionalIds: group });
    const few = await check(folder, asCarol);
    assertEquals(few.code, 2, few.out);
    for (const key of ["transaction.input.topic", "query.input.topic"] as const) {
      assertStringIncludes(few.err, `Read on topic ${topics[key]} (${key})`);
    }
    assertStringIncludes(few.err, "(query.output.topic)");
    assertStringIncludes(few.err, `Read on group ${group} (kafka.group.id)`);
    await allow(["All"], { topic: "*" });
    await allow(["Read"], { group });
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
