// The status of all processes that share partitions, as any of them shows it. Each reads its own, and asks the others for
// theirs while somebody looks; one that does not answer is shown as such, and is not waited for.

import type { DurationCounts, HotItemFigures } from "../engine/mod.ts";
import { hottestOf } from "../engine/mod.ts";
import type { ClusterView } from "../log/mod.ts";
import type { CheckpointEvent } from "../state/mod.ts";
import type { Clock } from "../types/mod.ts";
import type { Cluster } from "./cluster.ts";
import { mergeHistories, mergePoints, mergeStatuses, type ProcessReport } from "./merge_status.ts";
import { askPeer, PEER_PATHS } from "./peer_request.ts";
import type { JobStatus, SeriesPoint, StatusHistory } from "./status.ts";

/** What one process asks another for. */
export type ReportKind = "status" | "history" | "hotItems" | "checkpointEvents";

/** What a process says of itself, by what it is asked for. */
export interface Reports {
  readonly status: {
    readonly status: JobStatus;
    readonly point: SeriesPoint | null;
    /** Durations of the last minute. */
    readonly minute: { readonly commits: DurationCounts; readonly queries: DurationCounts };
  };
  readonly history: StatusHistory;
  readonly hotItems: HotItemFigures;
  readonly checkpointEvents: readonly CheckpointEvent[];
}

/** What a process answers: an address may be that of another one. */
export interface ReportAnswer<K extends ReportKind> {
  readonly life: string;
  readonly report: Reports[K];
}

/** A process that says of itself what others show. */
export interface Reporter {
  report<K extends ReportKind>(kind: K): Promise<Reports[K]> | Reports[K];
}

/** A status is asked for again after so long. */
const FRESH_MS = 500;
/** One that is older is not shown any more. */
const OLD_MS = 5000;
/** Who looks waits no longer than this for other processes. */
const WAIT_MS = 300;
/** An answer is waited for so long; what is shown meanwhile is what was known before. */
const ANSWER_MS_MAX = 2000;

/** What is known of another process. */
interface Known {
  readonly address: string | null;
  answer: Reports["status"] | null;
  /** Clock.monotonic() of the answer, and at which it was asked for last. */
  at: number;
  askedAt: number;
  isAsked: boolean;
  why: string | null;
}

/** Of a process that is not in the table any more. */
const NOT_KNOWN: Pick<Known, "answer" | "at" | "why"> = { answer: null, at: -Infinity, why: null };

/** Reads the status of all processes of a group. */
export class ClusterStatusReader {
  /** By life. */
  readonly #known = new Map<string, Known>();
  /** The last table that there was: while the group shares anew its processes are still there. */
  #view: ClusterView | null = null;

  constructor(readonly cluster: Cluster, readonly own: Reporter, readonly clock: Clock) {}

  /** The status of all processes, and the newest point of their charts. */
  async read(): Promise<{ status: JobStatus; point: SeriesPoint | null }> {
    const view = this.#lastView();
    const own = await this.own.report("status");
    if (!view) return own;
    const others = othersIn(view);
    const lives = new Set(others.map(({ life }) => life));
    for (const life of this.#known.keys()) if (!lives.has(life)) this.#known.delete(life);
    await this.#refresh(others);
    const reports = view.members.map(({ life, address }, index): ProcessReport => {
      if (index === view.self) return { address, ...own, why: null };
      // Who asked meanwhile may know a newer table, without it.
      const { answer, at, why } = this.#known.get(life) ?? NOT_KNOWN;
      const isFresh = answer !== null && this.clock.monotonic() - at < OLD_MS;
      return isFresh ? { address, ...answer, why: null } : {
        address,
        status: null,
        point: null,
        minute: null,
        why: why ?? "it has not answered yet",
      };
    });
    return { status: mergeStatuses(reports, view.self), point: mergePoints(reports) };
  }

  #lastView(): ClusterView | null {
    return this.#view = this.cluster.view ?? this.#view;
  }

  /** Asks those whose status is not new; waits a moment for those that answered when they were asked last. */
  async #refresh(others: ClusterView["members"]): Promise<void> {
    const now = this.clock.monotonic();
    const waited: Promise<void>[] = [];
    for (const { life, address } of others) {
      let known = this.#known.get(life);
      if (!known) {
        const never = {
          answer: null,
          at: -Infinity,
          askedAt: -Infinity,
          isAsked: false,
          why: null,
        };
        this.#known.set(life, known = { address, ...never });
      }
      if (known.isAsked || now - known.askedAt < FRESH_MS) continue;
      const asked = this.#askStatus(life, known, now);
      if (known.why === null) waited.push(asked);
    }
    if (waited.length === 0) return;
    const done = new AbortController();
    void Promise.all(waited).then(() => done.abort("done")); // without a reason an error with a stack is made
    await this.clock.sleep(WAIT_MS, done.signal);
  }

  async #askStatus(life: string, known: Known, now: number): Promise<void> {
    known.askedAt = now;
    known.isAsked = true;
    try {
      known.answer = await this.#ask(life, known.address, "status");
      known.at = this.clock.monotonic();
      known.why = null;
    } catch (error) {
      known.why = (error as Error).message;
    }
    known.isAsked = false;
  }

  async #ask<K extends ReportKind>(
    life: string,
    address: string | null,
    kind: K,
  ): Promise<Reports[K]> {
    const connection = address === null ? null : this.cluster.connectionTo(address);
    if (!connection) throw new Error("it says no address (http.advertised.host)");
    const answer = await askPeer<ReportAnswer<K>>(
      connection,
      PEER_PATHS.status,
      { kind },
      new AbortController().signal,
      ANSWER_MS_MAX,
    );
    if (answer.life === life) return answer.report;
    throw new Error("another process answers at its address (http.advertised.host)");
  }

  /** What all processes say that answer in time, the one of this process first. */
  async #all<K extends ReportKind>(kind: K): Promise<Reports[K][]> {
    const others = othersIn(this.#lastView());
    const answers = await Promise.all([
      this.own.report(kind),
      // Those that do not answer are shown so by the status.
      ...others.filter(({ life }) => !this.#known.get(life)?.why).map(({ life, address }) =>
        this.#ask(life, address, kind).catch(() => null)
      ),
    ]);
    return answers.filter((answer) => answer !== null);
  }

  /** Figures of the last hour, of all processes that answer. */
  async history(): Promise<StatusHistory> {
    return mergeHistories(await this.#all("history"));
  }

  /** The items that most of the records were of in the last minutes. */
  async hotItems(count: number): Promise<HotItemFigures> {
    return hottestOf(await this.#all("hotItems"), count);
  }

  /** The last events of checkpoints, the newest first, where each process keeps its own. */
  async checkpointEvents(limit: number): Promise<CheckpointEvent[]> {
    const all = await this.#all("checkpointEvents");
    return all.flat().toSorted((a, b) => b.at - a.at).slice(0, limit);
  }
}

function othersIn(view: ClusterView | null): ClusterView["members"] {
  return view?.members.filter((_, index) => index !== view.self) ?? [];
}
