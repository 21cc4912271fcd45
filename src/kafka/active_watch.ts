import { getLogger } from "@logtape/logtape";
import type { Clock } from "../types/mod.ts";
import type { ActiveProcess } from "./active_process.ts";

const log = getLogger(["stockflow", "kafka"]);

/**
 * What asking an address shows: which life of a process answers there; that nobody listens; that this process may
 * not ask; or nothing that is sure (a time-out, a reset, an answer of something else).
 */
export type Answer = { readonly life: string } | "refused" | "denied" | "unclear";

/** Asks who answers at an address, host:port. Never fails; gives up by itself. */
export type Ask = (address: string, signal: AbortSignal) => Promise<Answer>;

export interface WatchOptions {
  readonly ask: Ask;
  readonly clock: Clock;
  /** Takes the process out of its group; never fails. */
  readonly takeOut: () => Promise<void>;
}

const ASK_MS = 500;
/** Connections refused in a row: one alone may be the doing of something in between. */
const REFUSALS = 2;

/**
 * Asks the active process whether it lives, and takes it out of its group when it is gone; again, until
 * the signal says that the group has another, because a coordinator that moves may forget who was taken
 * out.
 *
 * Gone is who has answered at its address before and now refuses connections, twice in a row: the kernel
 * refuses when nobody listens, and a process listens as long as it lives. Anything else proves nothing,
 * and is left to the session of the group. Another process at the address ends the watch: the one before
 * was replaced, and who was started there rejoins by the same member id, which to take out would only
 * hinder it; or the address is not what it is at the active process's machine (127.0.0.1).
 */
export async function watchActive(
  { life, address }: ActiveProcess,
  { ask, clock, takeOut }: WatchOptions,
  signal: AbortSignal,
): Promise<void> {
  if (address === null) return;
  let seen = false;
  let refusals = 0;
  while (!signal.aborted) {
    const answer = await ask(address, signal);
    if (signal.aborted) return;
    if (answer === "denied") {
      return log.info(
        "The active process at {address} may not be asked whether it lives: a take-over waits for its " +
          "session. Start by deno task start, which allows all hosts, or add it to --allow-net of the command",
        { address },
      );
    }
    if (typeof answer === "object") {
      if (answer.life !== life) return;
      seen = true;
    }
    refusals = answer === "refused" ? refusals + 1 : 0;
    if (seen && refusals >= REFUSALS) {
      await takeOut();
      refusals = 0;
    }
    await clock.sleep(ASK_MS, signal);
  }
}
