import {
  type Commit,
  type CommitOutcome,
  ForwardingLog,
  type Log,
  type LogSession,
} from "../../src/log/mod.ts";
import { sessionOver } from "../log/log_doubles.ts";

/** A log whose sessions lose the n-th commit: it happens or not, and the answer is "lost". */
export class LossyLog extends ForwardingLog {
  commits = 0;
  lost = 0;

  constructor(
    log: Log,
    readonly loses: (commit: number) => "happened" | "did not" | null,
  ) {
    super(log);
  }

  override async claim(input: string, partitions?: readonly number[]): Promise<LogSession> {
    const session = await super.claim(input, partitions);
    return sessionOver(session, {
      commit: async (commit: Commit): Promise<CommitOutcome> => {
        const how = input === "transactions" ? this.loses(++this.commits) : null;
        if (how === null) return await session.commit(commit);
        this.lost++;
        if (how === "happened") await session.commit(commit);
        return "lost";
      },
    });
  }
}
