// Brokers that are too old, and records of old formats. Starts brokers of its own (tools/kit/test_broker.ts).

import { assertEquals, assertStringIncludes } from "@std/assert";
import { Loader } from "../../tools/kit/load.ts";
import { Stage } from "./scene.ts";

/** The last release that does not offer what is needed. */
const tooOld = await Stage.open({}, [], { version: "2.4.1" });
/** One that still writes the formats of before 0.11. */
const old = await Stage.open({}, [], { version: "2.8.2" });

/** The one line in which the job says why it ends. */
function lastLine(text: string): string {
  const lines = text.trimEnd().split("\n").filter((line) => line.startsWith("stockflow: "));
  assertEquals(lines.length, 1, text);
  return lines[0]!;
}

tooOld.test("Apache Kafka 2.4: exit 2, with the request that it does not offer and the first version that does", async () => {
  // Its topics are not looked at.
  const { refused } = await old.scene(1);
  const line = lastLine(await refused({ "kafka.bootstrap.servers": tooOld.broker.bootstrap }));
  assertStringIncludes(line, "they offer versions 0 to 6 of OffsetFetch, and version 7 is needed");
  assertStringIncludes(line, "use Apache Kafka 2.5 to 4.x");
});

for (const [format, magic] of [["0.9.0", 0], ["0.10.2", 1]] as const) {
  old.test(`records of message format v${magic}: exit 2, naming topic, partition and offset`, async () => {
    const scene = await old.scene(1);
    const topic = `old-${magic}`;
    await old.broker.createTopics([topic], 1, { "message.format.version": format });
    const loader = await Loader.open(old.broker.bootstrap, topic);
    await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
    await loader.close();
    const line = lastLine(await scene.refused({ "transaction.input.topic": topic }));
    assertStringIncludes(line, `records of ${topic}-0 at offset 0 are of message format v${magic}`);
    assertStringIncludes(line, "message.format.version");
  });
}
