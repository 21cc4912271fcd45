import type { Clock } from "../../types/mod.ts";
import { ErrorCode, errorCodeOf, reasonOf } from "./errors.ts";
import type { BrokerInternals } from "./internals.ts";
import type { CoordinatorKind, KafkaClient } from "./kafka_client.ts";

/** After the end of a transaction its markers are still being written: the next one waits so long. */
const BUSY_MS = [1, 2, 4, 8, 16, 20] as const;
/** A coordinator that moves or loads takes longer. */
const MOVED_MS = [20, 50, 100, 200, 500] as const;
/** After so long the recovery path is taken: it connects anew. */
const GIVE_UP_MS = 15_000;

/** A join waits for the other members of its group. */
const CALL_MS_MAX = 60_000;

const MOVED: readonly number[] = [
  ErrorCode.CoordinatorLoading,
  ErrorCode.CoordinatorNotAvailable,
  ErrorCode.NotCoordinator,
];
const BUSY: readonly number[] = [
  ErrorCode.ConcurrentTransactions,
  ErrorCode.UnstableOffsetCommit,
];

/**
 * Calls a coordinator; again while it is busy with the transaction before, moves or loads.
 *
 * @param giveUpMs how long it is tried; who gives up sooner than usual has another way to go
 */
export async function callCoordinator<T>(
  client: KafkaClient,
  clock: Clock,
  kind: CoordinatorKind,
  id: string,
  call: (coordinator: BrokerInternals) => Promise<T>,
  giveUpMs = GIVE_UP_MS,
): Promise<T> {
  const from = clock.monotonic();
  const key = `${kind} ${id}`;
  for (let attempt = 0;; attempt++) {
    try {
      const coordinator = await client.coordinator(kind, id);
      const answer = await client.call(
        () => call(coordinator),
        `the coordinator of ${kind} ${id}`,
        CALL_MS_MAX,
      );
      client.waits?.over(key);
      return answer;
    } catch (error) {
      const code = errorCodeOf(error) ?? 0;
      const moved = MOVED.includes(code);
      if (!moved && !BUSY.includes(code)) throw error;
      const reason = `The coordinator of ${key} does not take requests: ${reasonOf(error)}`;
      client.waits?.failed(key, "coordinator", { reason, blocks: "nothing" });
      if (clock.monotonic() - from > giveUpMs) {
        if (giveUpMs < GIVE_UP_MS) client.waits?.over(key);
        throw error;
      }
      if (moved) client.forgetCoordinator(kind, id);
      const waits = moved ? MOVED_MS : BUSY_MS;
      await clock.sleep(waits[Math.min(attempt, waits.length - 1)]!);
    }
  }
}
