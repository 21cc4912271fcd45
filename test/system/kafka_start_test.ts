// deno task kafka:start, as far as it needs neither Java nor a broker.

import { assertEquals, assertStringIncludes } from "@std/assert";

Deno.test("kafka:start says that its port is taken, rather than to take another broker for its own", async () => {
  using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const folder = await Deno.makeTempDir({ prefix: "stockflow-kafka-start-" });
  try {
    const config = `${folder}/job.properties`;
    const bootstrap = `127.0.0.1:${other.addr.port}`;
    await Deno.writeTextFile(config, `kafka.bootstrap.servers=${bootstrap}\n`);
    const args = ["run", "-P=tools", "tools/kafka/start.ts", `--folder=${folder}/kafka`];
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [...args, `--config=${config}`],
    }).output();
    assertEquals(code, 1);
    assertStringIncludes(
      new TextDecoder().decode(stderr),
      `Port ${other.addr.port} of 127.0.0.1 is taken by another program`,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
