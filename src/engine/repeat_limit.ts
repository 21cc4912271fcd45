import type { LogRecord } from "@logtape/logtape";
import type { Clock } from "../types/mod.ts";

/** Of a kind so many pass within an interval; the rest of it is one line. */
const BURST = 5;
const INTERVAL_MS = 5000;
/** Kinds that are remembered; the one that was new first is forgotten first. */
const KINDS_MAX = 1000;

interface Kind {
  /** When its interval began. */
  readonly since: number;
  passed: number;
  held: number;
  /** The one held back last. */
  last: LogRecord | null;
  watched: boolean;
}

/**
 * Holds back repeats of a log, so that no input can fill a disk with it: of a kind five pass at once,
 * and from then on the last one of every five seconds, which says how many there were. Messages of one
 * logger with the same template and the same property `reason` are of a kind; numbers do not count.
 */
export class RepeatLimit {
  readonly #kinds = new Map<string, Kind>();
  readonly #held = new Set<Kind>();
  readonly #closed = new AbortController();

  constructor(readonly write: (record: LogRecord) => void, readonly clock: Clock) {}

  accept(record: LogRecord): void {
    const key = keyOf(record);
    const now = this.clock.monotonic();
    let kind = this.#kinds.get(key);
    if (!kind || (!kind.watched && now - kind.since >= INTERVAL_MS)) {
      kind = { since: now, passed: 0, held: 0, last: null, watched: false };
      this.#kinds.delete(key);
      this.#kinds.set(key, kind);
      if (this.#kinds.size > KINDS_MAX) this.#kinds.delete(this.#kinds.keys().next().value!);
    }
    if (kind.passed < BURST || this.#closed.signal.aborted) {
      kind.passed++;
      this.write(record);
      return;
    }
    kind.held++;
    kind.last = record;
    this.#held.add(kind);
    if (!kind.watched) void this.#watch(kind);
  }

  /** Writes what is held back at the end of every interval, until nothing was. */
  async #watch(kind: Kind): Promise<void> {
    kind.watched = true;
    while (true) {
      await this.clock.sleep(INTERVAL_MS, this.#closed.signal);
      if (kind.held === 0) break;
      this.#writeHeld(kind);
    }
    kind.watched = false;
  }

  #writeHeld(kind: Kind): void {
    const { held, last } = kind;
    this.#held.delete(kind);
    kind.held = 0;
    kind.last = null;
    this.write(held === 1 ? last! : withHeld(last!, held));
  }

  /** Writes at once what is held back: no more comes. */
  close(): void {
    for (const kind of this.#held) this.#writeHeld(kind);
    this.#closed.abort();
  }
}

function keyOf({ category, rawMessage, properties }: LogRecord): string {
  const template = typeof rawMessage === "string" ? rawMessage : rawMessage.join("{}");
  const reason = String(properties["reason"] ?? "").replaceAll(/[0-9]+/g, "#");
  return JSON.stringify([category, template, reason]);
}

function withHeld(record: LogRecord, held: number): LogRecord {
  const message = record.message.slice();
  message.push(`${message.pop()} (the last of ${held} like it)`);
  return { ...record, message, properties: { ...record.properties, repeats: held } };
}
