import { assert, assertEquals } from "@std/assert";
import {
  type ActiveProcess,
  decodeActive,
  encodeActive,
} from "../../../src/kafka/active_process.ts";
import { type Answer, watchActive } from "../../../src/kafka/active_watch.ts";
import { encodeUtf8 } from "../../../src/types/mod.ts";
import { ManualClock } from "../../engine/manual_clock.ts";

const ACTIVE: ActiveProcess = { memberId: "m 1", life: "a1-b2", address: "10.0.0.1:8080" };
const LIVES: Answer = { life: "a1-b2" };
const ANOTHER: Answer = { life: "ffff" };
/** More than any of the lists below needs. */
const LONG_MS = 60_000;

/** How often a process is asked and taken out that answers like this, the last answer for ever. */
async function watch(
  answers: readonly Answer[],
  active = ACTIVE,
  whenTakenOut = (over: AbortController) => over.abort(),
): Promise<{ asked: number; takenOut: number }> {
  const clock = new ManualClock();
  const over = new AbortController();
  const found = { asked: 0, takenOut: 0 };
  const ask = (address: string) => {
    assertEquals(address, active.address);
    return Promise.resolve(answers[Math.min(found.asked++, answers.length - 1)]!);
  };
  const takeOut = () => {
    found.takenOut++;
    whenTakenOut(over);
    return Promise.resolve();
  };
  const done = watchActive(active, { ask, clock, takeOut }, over.signal);
  for (let at = 0; at < LONG_MS; at += 100) await clock.advance(100);
  over.abort();
  await done;
  return found;
}

Deno.test("a process that answered, and then refuses connections twice in a row, is gone", async () => {
  assertEquals(await watch([LIVES, "refused", "refused"]), { takenOut: 1, asked: 3 });
  assertEquals(await watch(["refused", "unclear", LIVES, LIVES, "refused", "refused"]), {
    takenOut: 1,
    asked: 6,
  });
  const interrupted: Answer[] = [
    LIVES,
    "refused",
    LIVES,
    "refused",
    "unclear",
    "refused",
    "refused",
  ];
  assertEquals(await watch(interrupted), { takenOut: 1, asked: 7 });
});

Deno.test("a process that is gone is taken out again, until the group knows another", async () => {
  let times = 0;
  const third = (over: AbortController) => void (++times === 3 && over.abort());
  assertEquals(await watch([LIVES, "refused"], ACTIVE, third), { takenOut: 3, asked: 7 });
});

Deno.test("an address where the process never answered proves nothing, however it refuses", async () => {
  assertEquals((await watch(["refused"])).takenOut, 0);
  assertEquals((await watch(["unclear", "refused"])).takenOut, 0);
});

Deno.test("time-outs, resets and a single refusal prove nothing", async () => {
  for (const last of ["unclear", LIVES] as const) {
    const { takenOut, asked } = await watch([LIVES, "refused", last]);
    assertEquals(takenOut, 0);
    assert(asked > 100); // it goes on
  }
});

Deno.test("another process at the address ends the watch: it speaks for itself", async () => {
  assertEquals(await watch([LIVES, ANOTHER, "refused"]), { takenOut: 0, asked: 2 });
  assertEquals(await watch([LIVES, "refused", ANOTHER, "refused"]), { takenOut: 0, asked: 3 });
  assertEquals(await watch([ANOTHER, "refused"]), { takenOut: 0, asked: 1 });
});

Deno.test("who may not ask, or has no address, stops asking", async () => {
  assertEquals(await watch(["denied", "refused"]), { takenOut: 0, asked: 1 });
  assertEquals(await watch([LIVES], { ...ACTIVE, address: null }), { takenOut: 0, asked: 0 });
});

Deno.test("what the active process publishes survives a round trip, and nothing else is taken for it", () => {
  for (const active of [ACTIVE, { ...ACTIVE, address: null }, { ...ACTIVE, address: "[::1]:80" }]) {
    assertEquals(decodeActive(encodeActive(active)), active);
  }
  for (const other of ["", "x", "stockflow2 instance=a address=none member=m"]) {
    assertEquals(decodeActive(encodeUtf8(other)), null);
  }
  assertEquals(decodeActive(new Uint8Array([255, 254])), null);
});
