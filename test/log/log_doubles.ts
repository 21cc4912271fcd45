// Logs and sessions that are others but for what a test replaces.

import {
  ForwardingLog,
  ForwardingSession,
  type Log,
  type LogSession,
  PlainSession,
} from "../../src/log/mod.ts";

/** The session, with some of it replaced. */
export function sessionOver(session: LogSession, parts: Partial<LogSession>): LogSession {
  const above = new ForwardingSession(session);
  return Object.defineProperties(above, Object.getOwnPropertyDescriptors(parts));
}

/** The log, with its sessions replaced. */
export class OtherSessions extends ForwardingLog {
  constructor(log: Log, readonly other: (session: LogSession) => Partial<LogSession>) {
    super(log);
  }

  override async claim(...args: Parameters<Log["claim"]>): Promise<LogSession> {
    const session = await super.claim(...args);
    return sessionOver(session, this.other(session));
  }
}

/** A session without partitions or records, with some of it given. */
export function sessionOf(parts: Partial<LogSession>): LogSession {
  class Empty extends PlainSession {
    readonly input = "transactions";
    readonly partitions = [];
    add = () => Promise.reject(new Error("Nothing is claimed"));
    remove = () => {};
    read = () => Promise.reject(new Error("Nothing is read"));
    commit = () => Promise.reject(new Error("Nothing is committed"));
  }
  return Object.defineProperties(new Empty(), Object.getOwnPropertyDescriptors(parts));
}
