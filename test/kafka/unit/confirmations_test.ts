import { assertEquals, assertRejects } from "@std/assert";
import { ActiveGeneration } from "../../../src/kafka/active_generation.ts";
import { Confirmations } from "../../../src/kafka/confirmations.ts";
import { LostError } from "../../../src/log/mod.ts";

function opened() {
  const state: { present: ActiveGeneration | Error | null; asked: number } = {
    present: new ActiveGeneration("member", 1, null),
    asked: 0,
  };
  const confirmations = new Confirmations(() => state.present, () => state.asked++);
  /** Generations of the answers, in their order. */
  const answers: string[] = [];
  const ask = (name: string) =>
    void confirmations.ask().then(({ generation }) => answers.push(`${name} ${generation}`));
  return { state, confirmations, answers, ask };
}

/** Lets everything happen that needs no time. */
const turns = async () => {
  for (let n = 0; n < 10; n++) await Promise.resolve();
};

Deno.test("Confirmations: all who ask before a heartbeat is begun share it; who asks behind that waits for the next", async () => {
  const { state, confirmations, answers, ask } = opened();
  ask("a");
  ask("b");
  assertEquals(state.asked, 2);
  const first = confirmations.begin();
  ask("c"); // at the same time of any clock
  confirmations.acknowledge(first);
  await turns();
  assertEquals(answers, ["a 1", "b 1"]);
  confirmations.acknowledge(confirmations.begin());
  await turns();
  assertEquals(answers, ["a 1", "b 1", "c 1"]);
});

Deno.test("Confirmations: between two generations nothing is confirmed, and then by a heartbeat of the next one", async () => {
  const { state, confirmations, answers, ask } = opened();
  confirmations.begin();
  ask("a");
  state.present = null;
  confirmations.look();
  const of2 = confirmations.begin();
  confirmations.acknowledge(of2); // a generation becomes present behind its first one
  await turns();
  assertEquals(answers, []);
  state.present = new ActiveGeneration("member", 2, null);
  confirmations.look();
  await turns();
  assertEquals(answers, ["a 2"]);
});

Deno.test("Confirmations: who gives up, or asks when none comes any more, is given an error", async () => {
  const { state, confirmations } = opened();
  const stop = new AbortController();
  const given = confirmations.ask(stop.signal);
  const waiting = confirmations.ask();
  stop.abort("given up");
  await assertRejects(() => given, LostError);
  await assertRejects(() => confirmations.ask(stop.signal), LostError);
  state.present = new LostError("The job leaves its group");
  confirmations.look();
  await assertRejects(() => waiting, LostError, "leaves");
  await assertRejects(() => confirmations.ask(), LostError, "leaves");
});
