import { type CommitOutcome, ForwardingLog, type LogSession } from "../../src/log/mod.ts";
import { sessionOver } from "../log/log_doubles.ts";

/** A log whose claims end with notice when a test says so. */
export class NoticingLog extends ForwardingLog {
  claims = 0;
  /** Sessions of transactions that were closed. */
  closed = 0;
  /** Is called when transactions are to be claimed. */
  onClaim: () => void = () => {};
  /** What becomes of commits of transactions once the notice was given. */
  lateCommits: "committed" | "happened" | "did not" = "committed";
  /** Claims wait for it. */
  gate = Promise.resolve();
  #ending = new AbortController();
  /** What it is over; it may be opened anew. */
  now = this.beneath;
  /** Where the logs of the partitions of later claims begin or end, apart from what was committed. */
  bounds: (committed: number) => { logStart?: number; logEnd?: number } = () => ({});

  giveNotice(): void {
    const before = this.#ending;
    this.#ending = new AbortController();
    before.abort("ending");
  }

  override async claim(input: string, partitions?: readonly number[]): Promise<LogSession> {
    if (input === "transactions") this.onClaim();
    await this.gate;
    const session = await this.now.claim(input, partitions);
    if (input !== "transactions") return session;
    this.claims++;
    const ending = this.#ending.signal;
    return sessionOver(session, {
      ending,
      close: () => {
        this.closed++;
        session.close();
      },
      partitions: session.partitions.map((claimed) => ({
        ...claimed,
        ...this.bounds(claimed.committed.offset),
      })),
      commit: async (commit): Promise<CommitOutcome> => {
        if (!ending.aborted || this.lateCommits === "committed") {
          return await session.commit(commit);
        }
        if (this.lateCommits === "happened") await session.commit(commit);
        return "lost";
      },
    });
  }
}
