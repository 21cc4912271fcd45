/** An engine that runs. */
export interface Job {
  readonly pid: number;
  /** Records that were read and executed or refused so far. */
  records(): Promise<number>;
  /** @throws when it has ended, with what it said */
  check(): void;
  kill(): Promise<void>;
  /** Bytes of the memory of its items, where the engine itself says so. */
  stateBytes?(): Promise<number>;
  /** Items that it knows, where it says so. */
  items?(): Promise<number>;
  /** Bytes and duration of its newest checkpoint, where it has one. */
  checkpoint?(): Promise<TakenCheckpoint | null>;
}

/** A checkpoint of the state, as it is stored. */
export interface TakenCheckpoint {
  readonly bytes: number;
  /** From its beginning until it is whole. */
  readonly ms: number;
  /** When each partition completed its checkpoints, in ms since the epoch, where the engine says so. */
  readonly completed?: readonly (readonly number[])[];
}
