// Apache Kafka's own command-line tools as stock clients, from the jars of the broker.

import { encodeUtf8 } from "../../src/types/mod.ts";
import { archiveFlags } from "../../tools/kafka/class_archive.ts";
import { KAFKA_VERSION, libraries, QUICK_JAVA } from "../../tools/kafka/libraries.ts";

/**
 * Runs a tool until it ends.
 *
 * @returns what it wrote to standard output
 * @throws when it fails, with what it said
 */
export async function runTool(
  main: string,
  args: readonly string[],
  input = "",
): Promise<string> {
  const libs = await libraries(KAFKA_VERSION);
  // The broker's archive has most of the classes of its tools.
  const flags = [...QUICK_JAVA, ...await archiveFlags(libs)];
  const child = new Deno.Command("java", {
    args: [...flags, "-cp", `${libs}/*`, main, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const written = writer.write(encodeUtf8(input)).then(() => writer.close());
  const [{ success, stdout, stderr }] = await Promise.all([child.output(), written]);
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${main} failed: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/** Writes lines `id TAB ts TAB item TAB quantity`, keyed by their items, by Java's console producer. */
export async function consoleProduce(
  bootstrap: string,
  topic: string,
  lines: readonly string[],
  codec = "none",
): Promise<void> {
  await runTool("org.apache.kafka.tools.ConsoleProducer", [
    "--bootstrap-server",
    bootstrap,
    "--topic",
    topic,
    "--property",
    "parse.key=true",
    "--compression-codec",
    codec,
  ], lines.map((line) => `${line.split("\t")[2]}\t${line}\n`).join(""));
}

/** So many values of a topic, by Java's console consumer under read_committed. */
export async function consoleConsume(
  bootstrap: string,
  topic: string,
  messages: number,
): Promise<string[]> {
  const text = await runTool("org.apache.kafka.tools.consumer.ConsoleConsumer", [
    "--bootstrap-server",
    bootstrap,
    "--topic",
    topic,
    "--from-beginning",
    "--isolation-level",
    "read_committed",
    "--max-messages",
    String(messages),
  ]);
  return text.trimEnd().split("\n");
}
