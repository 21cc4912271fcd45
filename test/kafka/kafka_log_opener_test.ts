import { assertRejects } from "@std/assert";
import { Conditions } from "../../src/engine/mod.ts";
import { ProcessLife } from "../../src/service/mod.ts";
import { ParameterError, Parameters } from "../../src/parameters/mod.ts";
import { KafkaLogOpener } from "../../src/kafka/mod.ts";
import { systemClock } from "../../src/types/mod.ts";

Deno.test("a transaction time-out that a commit interval does not fit into is refused", async () => {
  for (const name of ["commit.interval.ms", "query.commit.interval.ms"]) {
    const params = Parameters.of({
      "kafka.bootstrap.servers": "127.0.0.1:1",
      "kafka.group.id": "group",
      "kafka.transaction.timeout.ms": "1999",
      [name]: "1000",
    });
    await assertRejects(
      () =>
        new KafkaLogOpener(params, systemClock, new ProcessLife("0"), new Conditions(systemClock))
          .open({
            logDisk: null,
            hasCheckpoints: () => Promise.resolve(false),
            newestCheckpoints: () => Promise.resolve(new Map()),
            partitionerOf: () => Promise.resolve(null),
            readTopics: { idOf: () => Promise.resolve(null), keep: () => Promise.resolve() },
            loadOf: () => null,
          }, null),
      ParameterError,
      `kafka.transaction.timeout.ms=1999 must be at least twice ${name}=1000`,
    );
  }
});
