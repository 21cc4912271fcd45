import type { Commit, CommitOutcome, Log, LogSession } from "../../src/log/mod.ts";

/** A log whose sessions lose the n-th commit: it happens or not, and the answer is "lost". */
export class LossyLog implements Log {
  commits = 0;
  lost = 0;

  constructor(
    readonly log: Log,
    readonly loses: (commit: number) => "happened" | "did not" | null,
  ) {}

  get id(): string {
    return this.log.id;
  }

  partitionsOf(topic: string): number {
    return this.log.partitionsOf(topic);
  }

  async claim(input: string, partitions?: readonly number[]): Promise<LogSession> {
    const session = await this.log.claim(input, partitions);
    return {
      input,
      partitions: session.partitions,
      read: (p, offset, options) => session.read(p, offset, options),
      commit: async (commit: Commit): Promise<CommitOutcome> => {
        const how = input === "transactions" ? this.loses(++this.commits) : null;
        if (how === null) return await session.commit(commit);
        this.lost++;
        if (how === "happened") await session.commit(commit);
        return "lost";
      },
    };
  }
}
