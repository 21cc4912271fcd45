// deno task kafka:console: the lines of the README, on a broker of a test.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Stage } from "./scene.ts";
import { untilStock } from "./until.ts";

const stage = await Stage.shared();

const MS_MAX = 300_000;

async function console_(
  config: string,
  args: readonly string[],
  input?: string,
): Promise<{ code: number; out: string; said: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "kafka:console", ...args, `--config=${config}`],
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    // A consumer waits for ever for what does not come.
    signal: AbortSignal.timeout(MS_MAX),
  }).spawn();
  if (input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  }
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), said: decoder.decode(stderr) };
}

stage.test("kafka:console produces transactions by their items and queries, and shows answers, results and the group", async () => {
  const scene = await stage.scene(2);
  const config = `${scene.folder}/console.properties`;
  const properties = { ...scene.flags, "kafka.bootstrap.servers": stage.broker.bootstrap };
  await Deno.writeTextFile(
    config,
    Object.entries(properties).map(([key, value]) => `${key}=${value}\n`).join(""),
  );
  const job = await scene.start();
  await waitReady(job);
  const produced = await console_(
    config,
    ["produce", "transactions"],
    "1\t1700000000000\titem_2\t100\n2\t1700000000001\titem_2\t-30\n3\t1700000000002\titem_7\t5",
  );
  assertEquals(produced.code, 0, produced.said);
  await untilStock(job, "item_2", 70);
  const asked = await console_(config, ["produce", "queries"], "123 item_2\n");
  assertEquals(asked.code, 0, asked.said);
  const answers = await console_(
    config,
    ["consume", "answers", "--from-beginning", "--max-messages=1"],
  );
  assertEquals([answers.code, answers.out], [0, "123\titem_2\t70\n"], answers.said);
  const results = await console_(
    config,
    ["consume", "results", "--from-beginning", "--max-messages=3"],
  );
  assertEquals(results.out.trim().split("\n").sort(), [
    "1\t1700000000000\titem_2\t100\ttrue",
    "2\t1700000000001\titem_2\t-30\ttrue",
    "3\t1700000000002\titem_7\t5\ttrue",
  ]);
  const groups = await console_(config, ["groups"]);
  assertStringIncludes(groups.out, scene.topics["transaction.input.topic"]);
  assertMatch(groups.out, /LAG/);
  const wrong = await console_(config, ["produce", "results"]);
  assertEquals(wrong.code, 1);
  assertStringIncludes(wrong.said, "Usage: deno task kafka:console");
  await stopInGoodOrder(job);
});
