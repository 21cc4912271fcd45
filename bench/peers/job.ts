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
}
