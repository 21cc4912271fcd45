/** Something that happened to a checkpoint; survives restarts. */
export interface CheckpointEvent {
  readonly kind: "triggered" | "completed" | "failed" | "restored" | "damaged";
  /** ms since the epoch */
  readonly at: number;
  readonly partition: number;
  readonly sequence: number;
  readonly offset: number;
  readonly durationMs?: number;
  readonly items?: number;
  /** Compressed bytes written, and of all chunks. */
  readonly newBytes?: number;
  readonly totalBytes?: number;
  readonly reason?: string;
  /** Why it was taken. */
  readonly trigger?: CheckpointTrigger;
  /** Parts of the duration: encoding what changed, waiting for the commit, and writing the manifest. */
  readonly encodeMs?: number;
  readonly commitMs?: number;
  readonly publishMs?: number;
}

/** Why a checkpoint is taken: it is time, enough records were folded, or something needs it. */
export type CheckpointTrigger = "interval" | "records" | "savepoint" | "stop" | "parameters";
