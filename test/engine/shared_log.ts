import {
  type ClusterView,
  ForwardingLog,
  type LogSession,
  type Sharing,
} from "../../src/log/mod.ts";
import { sessionOver } from "../log/log_doubles.ts";

const VIEW: ClusterView = {
  generation: 1,
  nonce: 0,
  state: "sharing",
  members: [0, 1].map((n) => ({
    memberId: `member ${n}`,
    life: `life ${n}`,
    address: null,
    capacity: 1,
    watchedBy: 1 - n,
  })),
  self: 0,
  leader: 0,
  inputs: [{ topic: "transactions", owners: [0, 0], since: [1, 1] }],
};

const ACTIVE = { generation: 1, claimedBy: () => 0 };

/** A log whose partitions are shared, all of them with this process, of two. */
export class SharedLog extends ForwardingLog {
  /** Is called when a session of transactions is closed. */
  onClosed: () => void = () => {};
  left = 0;

  readonly sharing: Sharing = {
    view: VIEW,
    changed: (signal) =>
      new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
    active: ACTIVE,
    confirm: () => Promise.resolve(ACTIVE),
    leave: () => void this.left++,
  };

  override async claim(input: string): Promise<LogSession> {
    const session = await super.claim(input);
    if (input !== "transactions") return session;
    return sessionOver(session, {
      close: () => {
        this.onClosed();
        session.close();
      },
    });
  }
}
