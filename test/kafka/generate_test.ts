// The generator's job against a real broker: what stock kafkajs reads is what the generator makes.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { decodeBatch, decodeUtf8, Format, Partitioner } from "../../src/types/mod.ts";
import { Generator } from "../../src/wasm/mod.ts";
import { sharedBroker, whySkipped } from "../../tools/kit/test_broker.ts";
import { TOPICS } from "../../tools/kit/job_process.ts";
import { witness } from "./witness.ts";

const PARTITIONS = 3;
const ROOT = new URL("../../", import.meta.url);

const skipped = await whySkipped();

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function generate(bootstrap: string, flags: Record<string, string>): Promise<Ended> {
  const all = { "kafka.bootstrap.servers": bootstrap, "num.items": "500", ...TOPICS, ...flags };
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "-P=start", "src/cli/generate.ts"].concat(
      Object.entries(all).map(([key, value]) => `--${key}=${value}`),
    ),
    cwd: ROOT,
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test({
  name: "deno task generate writes each record of the generator once, over runs" +
    (skipped ? `: ${skipped}` : ""),
  ignore: skipped !== null,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const broker = await sharedBroker();
    try {
      const missing = await generate(broker.bootstrap, { "generate.count": "1" });
      assertEquals(missing.code, 2, missing.err);
      assertStringIncludes(missing.err, "Topic transactions is missing");

      await broker.createTopics(Object.values(TOPICS), PARTITIONS);
      const runs = [
        await generate(broker.bootstrap, { "generate.count": "20000", "generate.rate": "0" }),
        await generate(broker.bootstrap, {
          "generate.count": "1001",
          "generate.rate": "2000",
          "generate.queries": "true",
        }),
      ];
      assertEquals(runs.map((r) => r.code), [0, 0], runs[1]!.err);
      assertStringIncludes(runs[0]!.out, "20000 records in");
      assertStringIncludes(runs[1]!.out, "1001 records in");

      const partitions = await witness(broker.bootstrap, TOPICS["transaction.input.topic"]);
      assertEquals(partitions.reduce((n, p) => n + p.length, 0), 21_001);
      for (const [partition, records] of partitions.entries()) {
        const generator = new Generator({
          seed: 1n,
          items: 500,
          shape: 15,
          format: Format.Text,
          partitioner: Partitioner.Murmur2,
          partition,
          partitions: PARTITIONS,
        });
        const timing = { origin: 0, since: 0, msPerRecord: 0 };
        const withoutTs = (value: string) => value.split("\t").toSpliced(1, 1).join("\t");
        for (let at = 0; at < records.length; at += 1000) {
          const some = records.slice(at, at + 1000);
          const made = decodeBatch(generator.batch(at, some.length, timing));
          assertEquals(
            some.map((r) => withoutTs(r.value!)),
            made.map((r) => withoutTs(decodeUtf8(r.value!)!)),
          );
          assert(some.every((r) => r.value!.split("\t")[1] === String(r.timestamp)));
        }
      }
      const queries = (await witness(broker.bootstrap, TOPICS["query.input.topic"])).flat();
      assert(queries.length > 1 && queries.every((q) => /^\d+ item_\d+$/.test(q.value!)));
    } finally {
      await broker.remove();
    }
  },
});
